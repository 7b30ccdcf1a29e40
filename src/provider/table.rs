//! Parses the table of providers into [`Provider`]s. PURE.
//!
//! A provider is one line of `providers.tsv`: fields separated by tabs, in the order of the header line. [`Row::parse`]
//! defines the valid contents of each field; the test below checks the table that is distributed.

use std::fmt;
use std::time::Duration;

use super::{Accepts, Login, Provider};
use crate::account::TlsMode;

/// The names of the fields, as in the header line.
const FIELDS: [&str; 17] = [
    "id",
    "name",
    "host",
    "port",
    "tls",
    "login",
    "accepts",
    "oauth",
    "servers",
    "domains",
    "min_interval",
    "interval",
    "flags",
    "enable",
    "note",
    "checked",
    "source",
];

/// What is wrong with a line of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InvalidRow {
    /// The line number, from 1.
    pub line: usize,
    /// The invalid field; None if there are too many or too few fields, or the header line is wrong.
    pub field: Option<&'static str>,
}

impl fmt::Display for InvalidRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.field {
            Some(field) => write!(f, "line {}: `{field}` makes no sense", self.line),
            None => write!(f, "line {}: there are not {} fields", self.line, FIELDS.len()),
        }
    }
}

/// Parses the table. An invalid line is skipped and reported.
pub(super) fn parse(text: &'static str) -> (Vec<Provider>, Vec<InvalidRow>) {
    let mut lines = text.lines().enumerate();
    let mut invalid = Vec::new();
    if !lines.next().is_some_and(|(_, first)| first.split('\t').eq(FIELDS)) {
        invalid.push(InvalidRow { line: 1, field: None });
    }
    let mut providers: Vec<Provider> = Vec::new();
    for (number, line) in lines {
        let row = Row::split(line).ok_or(None).and_then(|row| row.parse().map_err(Some));
        let twice = |provider: &Provider| providers.iter().any(|known| known.id == provider.id);
        match row {
            Ok(provider) if twice(&provider) => invalid.push(InvalidRow { line: number + 1, field: Some("id") }),
            Ok(provider) => providers.push(provider),
            Err(field) => invalid.push(InvalidRow { line: number + 1, field }),
        }
    }
    (providers, invalid)
}

/// The fields of a line.
struct Row([&'static str; 17]);

impl Row {
    fn split(line: &'static str) -> Option<Self> {
        let fields: Vec<&str> = line.split('\t').map(str::trim).collect();
        fields.try_into().ok().map(Self)
    }

    /// Parses the fields. The error is the name of an invalid field.
    fn parse(self) -> Result<Provider, &'static str> {
        let [
            id,
            name,
            host,
            port,
            tls,
            login,
            accepts,
            oauth,
            servers,
            domains,
            min,
            interval,
            flags,
            enable,
            note,
            checked,
            source,
        ] = self.0;
        let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let text = |field: &'static str| Some(field).filter(|field| !field.is_empty());
        let seconds = |field: &'static str| match field {
            "" => Some(None),
            number => number.parse().ok().map(|seconds| Some(Duration::from_secs(seconds))),
        };
        let flags = Flags::parse(flags).ok_or("flags")?;
        // An entry has a server unless it says that there is no POP3, or gives only facts.
        let has_server = !flags.no_pop3 && !flags.facts_only;
        Ok(Provider {
            id: text(id).filter(|id| id.chars().all(is_word)).ok_or("id")?,
            name: text(name).ok_or("name")?,
            host: if text(host).is_some() == has_server { text(host) } else { return Err("host") },
            port: if has_server { port.parse().map_err(|_| "port")? } else { 0 },
            tls: match tls {
                "starttls" => TlsMode::StartTls,
                "implicit" => TlsMode::Implicit,
                "" if !has_server => TlsMode::Implicit,
                _ => return Err("tls"),
            },
            login: match login {
                "local" => Login::LocalPart,
                "full" => Login::Address,
                "" if !has_server => Login::Address,
                _ => return Err("login"),
            },
            accepts: Accepts::parse(accepts).filter(|some| some.any() == has_server).ok_or("accepts")?,
            oauth: text(oauth),
            servers: servers.split_ascii_whitespace().collect(),
            domains: domains.split_ascii_whitespace().collect(),
            min_interval: seconds(min).ok_or("min_interval")?.unwrap_or_default(),
            interval: seconds(interval).ok_or("interval")?,
            login_delay_is_untrue: flags.login_delay_untrue,
            lists_in_portions: flags.portions,
            no_pop3: flags.no_pop3,
            enable: text(enable),
            note: text(note),
            checked: text(checked).filter(|date| date.len() == 10).ok_or("checked")?,
            source: text(source).ok_or("source")?,
        })
    }
}

/// The words of the field `flags`.
#[derive(Default)]
struct Flags {
    login_delay_untrue: bool,
    portions: bool,
    no_pop3: bool,
    facts_only: bool,
}

impl Flags {
    fn parse(field: &str) -> Option<Self> {
        let mut flags = Self::default();
        for word in field.split_ascii_whitespace() {
            *match word {
                "login-delay-untrue" => &mut flags.login_delay_untrue,
                "portions" => &mut flags.portions,
                "no-pop3" => &mut flags.no_pop3,
                "facts-only" => &mut flags.facts_only,
                _ => return None,
            } = true;
        }
        Some(flags)
    }
}

impl Accepts {
    fn parse(field: &str) -> Option<Self> {
        let mut accepts = Self::default();
        for word in field.split_ascii_whitespace() {
            *match word {
                "password" => &mut accepts.password,
                "app-password" => &mut accepts.app_password,
                "code" => &mut accepts.authorization_code,
                "oauth" => &mut accepts.oauth,
                _ => return None,
            } = true;
        }
        Some(accepts)
    }

    fn any(self) -> bool {
        self.password || self.app_password || self.authorization_code || self.oauth
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = include_str!("providers.tsv");

    fn one(row: &str) -> Result<Provider, InvalidRow> {
        let header = HEADER.lines().next().unwrap();
        let (mut providers, mut invalid) = parse(format!("{header}\n{row}\n").leak());
        invalid.pop().map_or_else(|| Ok(providers.pop().unwrap()), Err)
    }

    #[test]
    fn the_table_that_ships_makes_sense() {
        let (providers, invalid) = parse(HEADER);
        assert!(invalid.is_empty(), "{}", invalid.iter().map(|row| format!("{row}\n")).collect::<String>());
        assert!(providers.len() >= 70, "{}", providers.len());
        assert!(providers.iter().filter(|provider| provider.no_pop3).count() >= 5);
        for provider in &providers {
            assert!(crate::account::preset::named_or_none(provider.oauth), "{}", provider.id);
            for domain in provider.domains.iter().chain(&provider.servers) {
                assert!(domain.contains('.') && *domain == domain.to_ascii_lowercase(), "{domain}");
            }
        }
    }

    #[test]
    fn a_row_is_read_field_by_field() {
        let row = "x-1\tX\tpop.x.org\t110\tstarttls\tlocal\tpassword code\t\tx.org\tx.org y.org\t60\t900\tportions\tMenu\tNote\t2026-11-26\tsource";
        let provider = one(row).unwrap();
        assert_eq!((provider.id, provider.host, provider.port), ("x-1", Some("pop.x.org"), 110));
        assert_eq!((provider.tls, provider.login), (TlsMode::StartTls, Login::LocalPart));
        assert!(provider.accepts.password && provider.accepts.authorization_code && !provider.accepts.oauth);
        assert_eq!(provider.domains, ["x.org", "y.org"]);
        assert_eq!((provider.min_interval.as_secs(), provider.interval.unwrap().as_secs()), (60, 900));
        assert!(provider.lists_in_portions && !provider.no_pop3);
    }

    #[test]
    fn a_row_that_makes_no_sense_is_named_with_its_field() {
        let good = "x\tX\tpop.x.org\t995\timplicit\tfull\tpassword\t\t\t\t\t\t\t\t\t2026-11-26\tsource";
        assert!(one(good).is_ok());
        for (from, to, field) in [
            ("x\tX", "X\tX", Some("id")),
            ("\tX\t", "\t\t", Some("name")),
            ("pop.x.org", "", Some("host")),
            ("995", "70000", Some("port")),
            ("implicit", "ssl", Some("tls")),
            ("full", "some", Some("login")),
            ("password", "passwords", Some("accepts")),
            ("password", "", Some("accepts")),
            ("2026-11-26", "soon", Some("checked")),
            ("\tsource", "\t", Some("source")),
            ("\tsource", "", None),
        ] {
            let wrong = good.replacen(from, to, 1);
            assert_eq!(one(&wrong), Err(InvalidRow { line: 2, field }), "{from:?} -> {to:?}");
        }
        let twice = format!("{good}\n{good}");
        assert_eq!(one(&twice), Err(InvalidRow { line: 3, field: Some("id") }));
    }
}
