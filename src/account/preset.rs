//! Known authorization servers. These values were checked on 2026-11-26 against the lists of mail programs that use
//! them (Thunderbird, FairEmail, email-oauth2-proxy) and the providers' own pages. They include no client identifiers:
//! those registered by other programs are not ours to use.

use std::time::Duration;

/// A known authorization server.
#[derive(Debug, PartialEq, Eq)]
pub struct Preset {
    /// Its name in the configuration.
    pub id: &'static str,
    /// What people call it.
    pub name: &'static str,
    /// The authorization endpoint (RFC 6749, section 3.1). `{tenant}` stands for the directory of a Microsoft account.
    pub authorization_endpoint: &'static str,
    /// The token endpoint (RFC 6749, section 3.2).
    pub token_endpoint: &'static str,
    /// Device codes (RFC 8628), or why there are none.
    pub device: Device,
    /// The scope that permits POP3.
    pub scope: &'static str,
    /// The `iss` in each authorization response (RFC 9207). `None`: it is not known to send one.
    pub issuer: Option<&'static str>,
    /// The issuer whose metadata (RFC 8414) is used if the client registers itself (RFC 7591).
    pub registers_at: Option<&'static str>,
    /// The redirection URI, as clients are registered there.
    pub redirect: &'static str,
    /// Further parameters of the authorization request.
    pub parameters: &'static [(&'static str, &'static str)],
    /// A refresh token expires if it is not used for this long.
    pub refresh_lifetime: Option<Duration>,
    /// How to get a client identifier, in a sentence.
    pub registration: &'static str,
}

/// Device codes of an authorization server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Device {
    /// They come from this endpoint.
    At(&'static str),
    /// There are none, and this is why.
    None(&'static str),
}

const DAY: u64 = 24 * 60 * 60;

/// No device codes, as far as is known.
const NO_DEVICE: Device = Device::None("it is not known to have any");

static PRESETS: [Preset; 9] = [
    Preset {
        id: "google",
        name: "Google",
        authorization_endpoint: "https://accounts.google.com/o/oauth2/v2/auth",
        token_endpoint: "https://oauth2.googleapis.com/token",
        device: Device::None("Google's device codes open a short list of services, and mail is not among them"),
        scope: "https://mail.google.com/",
        issuer: Some("https://accounts.google.com"),
        registers_at: None,
        redirect: "http://127.0.0.1",
        // Without these, a second sign-in yields no refresh token.
        parameters: &[("access_type", "offline"), ("prompt", "consent")],
        refresh_lifetime: Some(Duration::from_secs(180 * DAY)),
        registration: "make one in the Google Cloud console (\"OAuth 2.0\" in the documentation says how), of the type \"Desktop app\"",
    },
    Preset {
        id: "microsoft",
        name: "Microsoft",
        authorization_endpoint: "https://login.microsoftonline.com/{tenant}/oauth2/v2.0/authorize",
        token_endpoint: "https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token",
        device: Device::At("https://login.microsoftonline.com/{tenant}/oauth2/v2.0/devicecode"),
        // The last two identify the mailbox's owner.
        scope: "https://outlook.office.com/POP.AccessAsUser.All offline_access openid email",
        issuer: None,
        registers_at: None,
        // With this host name its servers accept any port; with an address, only what is registered.
        redirect: "http://localhost",
        parameters: &[],
        refresh_lifetime: Some(Duration::from_secs(90 * DAY)),
        registration: "register an application in Microsoft Entra (\"OAuth 2.0\" in the documentation says how)",
    },
    Preset {
        id: "yahoo",
        name: "Yahoo",
        authorization_endpoint: "https://api.login.yahoo.com/oauth2/request_auth",
        token_endpoint: "https://api.login.yahoo.com/oauth2/get_token",
        device: NO_DEVICE,
        scope: "mail-w",
        issuer: None,
        registers_at: None,
        redirect: "https://127.0.0.1",
        parameters: &[],
        refresh_lifetime: None,
        registration: "Yahoo gives out no new ones that open mail; use one that you have, or ask Yahoo",
    },
    Preset {
        id: "aol",
        name: "AOL",
        authorization_endpoint: "https://api.login.aol.com/oauth2/request_auth",
        token_endpoint: "https://api.login.aol.com/oauth2/get_token",
        device: NO_DEVICE,
        scope: "mail-w",
        issuer: None,
        registers_at: None,
        redirect: "https://127.0.0.1",
        parameters: &[],
        refresh_lifetime: None,
        registration: "AOL gives out no new ones that open mail; use one that you have, or ask AOL",
    },
    Preset {
        id: "fastmail",
        name: "Fastmail",
        authorization_endpoint: "https://api.fastmail.com/oauth/authorize",
        token_endpoint: "https://api.fastmail.com/oauth/refresh",
        device: NO_DEVICE,
        scope: "https://www.fastmail.com/dev/protocol-pop",
        issuer: Some("https://api.fastmail.com"),
        registers_at: Some("https://api.fastmail.com"),
        // A client that registers itself there may have no redirection URI other than a scheme of its own (RFC 8252,
        // section 7.1).
        redirect: "mailferry.oauth:/redirect",
        parameters: &[],
        refresh_lifetime: None,
        registration: "leave client_id out, and mailferry registers itself",
    },
    Preset {
        id: "comcast",
        name: "Comcast",
        authorization_endpoint: "https://oauth.xfinity.com/oauth/authorize",
        token_endpoint: "https://oauth.xfinity.com/oauth/token",
        device: NO_DEVICE,
        scope: "https://email.comcast.net/ profile openid",
        issuer: None,
        registers_at: None,
        redirect: "http://localhost",
        parameters: &[],
        refresh_lifetime: None,
        registration: "ask Comcast for one",
    },
    Preset {
        id: "yandex",
        name: "Yandex",
        authorization_endpoint: "https://oauth.yandex.com/authorize",
        token_endpoint: "https://oauth.yandex.com/token",
        device: Device::At("https://oauth.yandex.com/device/code"),
        // No scope for POP3 is known; this is the one for reading mail.
        scope: "mail:imap_full",
        issuer: None,
        registers_at: None,
        redirect: "http://localhost",
        parameters: &[],
        refresh_lifetime: None,
        registration: "register an application at oauth.yandex.com",
    },
    Preset {
        id: "mailru",
        name: "Mail.ru",
        authorization_endpoint: "https://o2.mail.ru/login",
        token_endpoint: "https://o2.mail.ru/token",
        device: NO_DEVICE,
        scope: "mail.imap",
        issuer: None,
        registers_at: None,
        redirect: "http://localhost",
        parameters: &[],
        refresh_lifetime: None,
        registration: "register an application at o2.mail.ru/app",
    },
    Preset {
        id: "seznam",
        name: "Seznam",
        authorization_endpoint: "https://login.seznam.cz/api/v1/oauth/auth",
        token_endpoint: "https://login.seznam.cz/api/v1/oauth/token",
        device: NO_DEVICE,
        scope: "identity calendar email",
        issuer: Some("https://login.seznam.cz"),
        registers_at: None,
        redirect: "http://127.0.0.1/seznam",
        parameters: &[],
        refresh_lifetime: None,
        registration: "ask Seznam for one",
    },
];

impl Preset {
    /// Returns the preset with this name in the configuration.
    #[must_use]
    pub fn named(id: &str) -> Option<&'static Self> {
        PRESETS.iter().find(|preset| preset.id == id)
    }

    /// Returns the names that the configuration may use.
    pub fn names() -> impl Iterator<Item = &'static str> {
        PRESETS.iter().map(|preset| preset.id)
    }

    /// Returns an endpoint for a tenant.
    #[must_use]
    pub fn for_tenant(endpoint: &str, tenant: Option<&str>) -> String {
        endpoint.replace("{tenant}", tenant.unwrap_or("common"))
    }

    /// Whether it distinguishes tenants.
    #[must_use]
    pub fn has_tenants(&self) -> bool {
        self.token_endpoint.contains("{tenant}")
    }
}

/// Whether this is the name of a preset, or none at all.
#[cfg(test)]
pub(crate) fn named_or_none(id: Option<&str>) -> bool {
    id.is_none_or(|id| Preset::named(id).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::server_url::ServerUrl;

    #[test]
    fn every_endpoint_is_encrypted_and_no_foreign_client_is_among_them() {
        for preset in &PRESETS {
            let device = if let Device::At(endpoint) = preset.device { Some(endpoint) } else { None };
            for endpoint in [
                Some(preset.authorization_endpoint),
                Some(preset.token_endpoint),
                device,
                preset.registers_at,
                preset.issuer,
            ]
            .into_iter()
            .flatten()
            {
                assert!(endpoint.starts_with("https://"), "{endpoint}");
                assert!(ServerUrl::new(&Preset::for_tenant(endpoint, None)).is_ok(), "{endpoint}");
            }
            assert!(url::Url::parse(preset.redirect).is_ok(), "{}", preset.redirect);
            assert!(!format!("{preset:?}").contains("client_id="));
        }
    }

    #[test]
    fn google_has_no_device_codes_for_mail_and_microsoft_has_tenants() {
        assert!(matches!(Preset::named("google").unwrap().device, Device::None(_)));
        let microsoft = Preset::named("microsoft").unwrap();
        assert!(microsoft.has_tenants());
        let at = |tenant| Preset::for_tenant(microsoft.token_endpoint, tenant);
        assert_eq!(at(None), "https://login.microsoftonline.com/common/oauth2/v2.0/token");
        assert_eq!(at(Some("consumers")), "https://login.microsoftonline.com/consumers/oauth2/v2.0/token");
    }
}
