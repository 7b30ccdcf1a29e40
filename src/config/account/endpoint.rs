//! An account's server, and how the connection to it is protected.

use std::net::IpAddr;

use super::Builder;
use crate::account::{AuthChoice, ClientCertificate, Endpoint, IpVersion, Route, TlsMode, TlsOptions, TlsTrust};
use crate::config::host::is_loopback;
use crate::config::problem::Problem;
use crate::config::settings::Settings;
use crate::config::value::{At, Setting};
use crate::provider::Provider;

/// POP3 over TLS from the first byte (RFC 8314, section 3.1).
const IMPLICIT_TLS_PORT: u16 = 995;

/// POP3 that begins in cleartext (RFC 1939, section 3).
const CLEARTEXT_PORT: u16 = 110;

const HOST_HELP: &str = "add the POP3 server's name, such as host = \"pop.example.org\"";

/// The protocol of a server, which decides its default ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::config) enum Protocol {
    /// The server is polled.
    Pop3,
    /// Mail is forwarded to the server.
    Imap,
}

impl Protocol {
    /// The port for TLS from the first byte (RFC 8314, section 3).
    fn implicit_tls(self) -> u16 {
        match self {
            Self::Pop3 => IMPLICIT_TLS_PORT,
            Self::Imap => 993,
        }
    }

    /// The port on which the connection begins in cleartext.
    fn cleartext(self) -> u16 {
        match self {
            Self::Pop3 => CLEARTEXT_PORT,
            Self::Imap => 143,
        }
    }
}

impl Builder<'_> {
    pub(super) fn endpoint(&mut self) -> Option<Endpoint> {
        let host = self.host();
        let (port, tls) = self.port_and_tls();
        let allow = *setting!(self, allow_cleartext_password).value().unwrap_or(&false);
        if let (Some(host), Some(At { value: TlsMode::None, span })) = (&host, setting!(self, tls).given())
            && !allow
            && !is_loopback(host)
        {
            let message = format!("account `{}` would send its password in clear to {host}", self.name.value);
            self.problems.push(Problem::new(message).at(span).label("no encryption").help(
                "write tls = \"implicit\" or tls = \"starttls\"; if the server can do neither and the network is yours, \
                 add allow_cleartext_password = true",
            ));
            return None;
        }
        if tls == Some(TlsMode::None) {
            let Settings { tls_ca_file, tls_key_exchange, tls_server_name, tls_trust, .. } = self.own;
            let Settings { tls_pin, tls_client_cert, tls_client_key, .. } = self.own;
            let given = [
                ("tls_ca_file", tls_ca_file.given().map(|at| &at.span)),
                ("tls_key_exchange", tls_key_exchange.given().map(|at| &at.span)),
                ("tls_server_name", tls_server_name.given().map(|at| &at.span)),
                ("tls_trust", tls_trust.given().map(|at| &at.span)),
                ("tls_pin", tls_pin.given().map(|at| &at.span)),
                ("tls_client_cert", tls_client_cert.given().map(|at| &at.span)),
                ("tls_client_key", tls_client_key.given().map(|at| &at.span)),
            ];
            for (key, span) in given.into_iter().filter_map(|(key, span)| Some((key, span?))) {
                self.warnings.push((span.clone(), format!("`{key}` has no effect with tls = \"none\"")));
            }
        }
        let tls_options = self.tls_options()?;
        self.check_route();
        Some(Endpoint {
            host: host?,
            port: port?,
            tls: tls?,
            tls_ca_file: setting!(self, tls_ca_file).value().cloned(),
            key_exchange: setting!(self, tls_key_exchange).value().copied().unwrap_or_default(),
            allow_cleartext_password: allow,
            route: Route {
                ip: setting!(self, ip).value().copied().unwrap_or_default(),
                source_address: setting!(self, source_address).value().copied(),
                proxy: setting!(self, proxy).value().cloned().flatten(),
                resets: false,
            },
            tls_options,
        })
    }

    /// Returns the TLS options, and reports those of which a required counterpart is missing.
    fn tls_options(&mut self) -> Option<TlsOptions> {
        let trust = setting!(self, tls_trust);
        let pin = setting!(self, tls_pin);
        let name = &self.name.value;
        if let (Some(At { value: TlsTrust::Pin, span }), Setting::Absent) = (trust.given(), pin) {
            let message = format!("account `{name}` trusts a pinned key alone, and none is given");
            self.problems.push(Problem::new(message).at(span).help("add tls_pin"));
            return None;
        }
        let (certificate, key) = (setting!(self, tls_client_cert), setting!(self, tls_client_key));
        let client_certificate = certificate.value().map(|certificate| ClientCertificate {
            certificate: certificate.clone(),
            // Both are often in one file.
            key: key.value().unwrap_or(certificate).clone(),
        });
        if let (Setting::Absent, Some(At { span, .. })) = (certificate, key.given()) {
            self.warnings.push((span.clone(), "`tls_client_key` has no effect without `tls_client_cert`".to_owned()));
        }
        if let (Some(At { value: AuthChoice::External, span }), None) =
            (setting!(self, auth).given(), &client_certificate)
        {
            let message = format!("account `{name}` logs in by a certificate, and has none");
            self.problems.push(Problem::new(message).at(span).help("add tls_client_cert"));
            return None;
        }
        Some(TlsOptions {
            server_name: setting!(self, tls_server_name).value().cloned(),
            trust: trust.value().copied().unwrap_or_default(),
            pins: pin.value().cloned().unwrap_or_default(),
            client_certificate,
        })
    }

    /// Reports a source address whose IP version is not the one in `ip`.
    fn check_route(&mut self) {
        let (ip, source) = (setting!(self, ip), setting!(self, source_address));
        if let (Some(ip), Some(At { value: address, span })) = (ip.value(), source.given())
            && matches!((ip, address), (IpVersion::V4, IpAddr::V6(_)) | (IpVersion::V6, IpAddr::V4(_)))
        {
            let message = format!("account `{}` has a `source_address` of another version than `ip`", self.name.value);
            self.problems.push(Problem::new(message).at(span).help("remove one of them"));
        }
    }

    /// Derives the port from the TLS mode or the TLS mode from the port. The cleartext port alone does not tell the TLS
    /// mode.
    fn port_and_tls(&mut self) -> (Option<u16>, Option<TlsMode>) {
        match (setting!(self, port), setting!(self, tls)) {
            (Setting::Bad, _) | (_, Setting::Bad) => (None, None),
            (Setting::Absent, Setting::Absent) => match self.by_name().filter(|provider| provider.host.is_some()) {
                Some(provider) => (Some(provider.port), Some(provider.tls)),
                None => (Some(self.protocol.implicit_tls()), Some(TlsMode::Implicit)),
            },
            (Setting::Absent, Setting::Given(At { value: TlsMode::Implicit, .. })) => {
                (Some(self.protocol.implicit_tls()), Some(TlsMode::Implicit))
            }
            (Setting::Absent, Setting::Given(tls)) => (Some(self.protocol.cleartext()), Some(tls.value)),
            (Setting::Given(At { value: port, span }), Setting::Absent) if *port == self.protocol.cleartext() => {
                let name = &self.name.value;
                let message = format!("account `{name}` has port {port} and does not say how it is encrypted");
                self.problems.push(Problem::new(message).at(span).help(format!(
                    "add tls = \"starttls\"; or leave `port` out for port {}, which is encrypted from the start",
                    self.protocol.implicit_tls()
                )));
                (None, None)
            }
            (Setting::Given(port), Setting::Absent) => (Some(port.value), Some(TlsMode::Implicit)),
            (Setting::Given(port), Setting::Given(tls)) => {
                self.warn_of_unusual_pair(port, tls.value);
                (Some(port.value), Some(tls.value))
            }
        }
    }

    fn warn_of_unusual_pair(&mut self, port: &At<u16>, tls: TlsMode) {
        let name = &self.name.value;
        let (in_clear, implicit) = (self.protocol.cleartext(), self.protocol.implicit_tls());
        let text = match (port.value, tls) {
            (port, TlsMode::Implicit) if port == in_clear => format!(
                "account `{name}` has port {port} with tls = \"implicit\"; servers expect tls = \"starttls\" there"
            ),
            (port, TlsMode::StartTls | TlsMode::None) if port == implicit => {
                format!("account `{name}` has port {port} without tls = \"implicit\"; servers expect TLS at once there")
            }
            _ => return,
        };
        self.warnings.push((port.span.clone(), text));
    }

    /// Returns the host as given, or that of the provider.
    fn host(&mut self) -> Option<String> {
        let given = setting!(self, host);
        if !matches!(given, Setting::Absent) {
            return given.value().cloned();
        }
        match setting!(self, provider) {
            Setting::Bad => None,
            Setting::Given(At { value: provider, span }) => {
                if provider.host.is_none() {
                    let message = format!("{} has no POP3", provider.name);
                    let why = provider.note.unwrap_or("its mail cannot be fetched by POP3");
                    self.problems.push(Problem::new(message).at(span).help(why));
                }
                provider.host.map(str::to_owned)
            }
            Setting::Absent => {
                let username = setting!(self, username).value().map(String::as_str).unwrap_or_default();
                let help = match Provider::of_address(username) {
                    Some(provider) if provider.no_pop3 => {
                        format!("{} has no POP3: {}", provider.name, provider.note.unwrap_or_default())
                    }
                    Some(provider) => format!("add provider = \"{}\"", provider.id),
                    None => HOST_HELP.to_owned(),
                };
                self.required("host", given, &help)
            }
        }
    }
}
