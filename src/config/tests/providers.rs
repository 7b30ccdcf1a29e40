use super::{config, errors};
use crate::account::{CredentialSource, OAuthSettings, TlsMode};
use crate::config::Config;

/// An account without a server, with these lines.
fn text(lines: &str) -> String {
    format!("[accounts.a]\nmaildir = \"/m\"\n{lines}\n")
}

fn with_password(lines: &str) -> String {
    text(&format!("username = \"jo\"\npassword_command = [\"pw\"]\n{lines}"))
}

fn settings(config: &Config) -> OAuthSettings {
    let CredentialSource::OAuth(settings) = &config.accounts[0].credential else { panic!("{config:?}") };
    assert!(config.accounts[0].uses_token);
    OAuthSettings::clone(settings)
}

#[test]
fn a_provider_fills_in_what_is_not_given() {
    let one = |lines: &str| config(&with_password(lines)).accounts.remove(0);
    let gmail = one("provider = \"gmail\"");
    let endpoint = &gmail.endpoint;
    assert_eq!((endpoint.host.as_str(), endpoint.port, endpoint.tls), ("pop.gmail.com", 995, TlsMode::Implicit));
    assert!(!gmail.uses_token);
    let tim = one("provider = \"tim\"").endpoint;
    assert_eq!((tim.host.as_str(), tim.port, tim.tls), ("pop.tim.it", 110, TlsMode::StartTls));
    let own = one("provider = \"tim\"\nhost = \"in.alice.it\"\nport = 995\ntls = \"implicit\"").endpoint;
    assert_eq!((own.host.as_str(), own.port, own.tls), ("in.alice.it", 995, TlsMode::Implicit));
    // A provider's recommendation is the default, however the provider is given.
    for (lines, seconds) in [
        ("provider = \"webde\"", 900),
        ("host = \"pop3.web.de\"", 900),
        ("provider = \"webde\"\ninterval = \"6m\"", 360),
        ("provider = \"ovh\"", 300),
    ] {
        assert_eq!(one(lines).interval.shortest.as_secs(), seconds, "{lines}");
    }
}

#[test]
fn what_cannot_work_there_is_said_at_once() {
    for (lines, message, help) in [
        ("provider = \"icloud\"", "iCloud Mail has no POP3", "IMAP"),
        ("provider = \"hey\"", "HEY has no POP3", "neither POP3 nor IMAP"),
        ("provider = \"gmial\"", "`provider` cannot be \"gmial\"", "did you mean \"gmail\"?"),
        ("provider = \"hotmail.com\"", "`provider` cannot be", "did you mean \"outlook\"?"),
        ("provider = \"protonmail\"", "`provider` cannot be", "did you mean \"proton\"?"),
        ("provider = \"GMX\"", "`provider` cannot be", "did you mean \"gmx-net\" or \"gmx-com\"?"),
        ("provider = \"something-else\"", "`provider` cannot be", "\"Providers\" in the documentation"),
        ("provider = 163", "`provider` is a whole number", "in quotes"),
    ] {
        let (said, count) = errors(&with_password(lines));
        assert!(said.contains(message) && count == 1, "{lines}: {count}\n{said}");
        assert!(said.contains(help) || lines.ends_with("163"), "{lines}:\n{said}");
    }
    let without_host =
        |username: &str| errors(&text(&format!("username = \"{username}\"\npassword_command = [\"pw\"]"))).0;
    assert!(without_host("jo@qq.com").contains("add provider = \"qq\""));
    assert!(without_host("jo@proton.me").contains("Proton Mail has no POP3"));
    assert!(without_host("jo@example.org").contains("add the POP3 server's name"));
    let warnings = |lines: &str| config(&with_password(lines)).warnings.join("\n");
    assert!(warnings("host = \"pop.mail.me.com\"").contains("iCloud Mail has no POP3"));
    assert!(warnings("provider = \"outlook\"").contains("no longer accepts passwords"));
    assert!(warnings("host = \"outlook.office365.com\"").contains("no longer accepts passwords"));
    assert!(
        config(&text("provider = \"webde\"\nusername = \"jo@web.de\"\npassword_command = [\"pw\"]")).warnings[0]
            .contains("username = \"jo\"")
    );
    assert_eq!(warnings("provider = \"gmail\""), "");
}

#[test]
fn a_password_that_would_be_sent_as_a_token_is_told() {
    let warnings = |auth: &str, credential: &str| {
        let lines = format!("host = \"pop.example.org\"\nusername = \"jo\"\nauth = \"{auth}\"\n{credential}");
        config(&text(&lines)).warnings.join("\n")
    };
    for auth in ["xoauth2", "oauthbearer"] {
        for (key, value) in [("password_file", "\"/pw\""), ("password_credential", "\"pw\""), ("password", "\"hush\"")]
        {
            let told = warnings(auth, &format!("{key} = {value}"));
            let words =
                format!(":5: account `a`: `auth` takes `{key}` for an access token, and that is good for an hour");
            assert!(told.contains(&words) && !told.contains("hush"), "{told}");
        }
        for renewed in ["password_command = [\"pw\"]", "token_command = [\"pw\"]"] {
            assert_eq!(warnings(auth, renewed), "", "{renewed}");
        }
    }
    assert_eq!(warnings("plain", "password_file = \"/pw\""), "");
}

#[test]
fn a_preset_and_a_tenant_fill_in_the_endpoints() {
    let of = |lines: &str| settings(&config(&text(&format!("username = \"jo\"\n{lines}"))));
    let google = of("provider = \"gmail\"\noauth2 = { client_id = \"x\", client_secret_command = [\"pass\"] }");
    assert_eq!(google.token_endpoint.unwrap().as_str(), "https://oauth2.googleapis.com/token");
    assert_eq!(google.scope.as_deref(), Some("https://mail.google.com/"));
    assert!(google.device_authorization_endpoint.is_none() && google.issuer.is_none());
    // The server identifies the provider, too.
    let by_host =
        of("host = \"outlook.office365.com\"\n[accounts.a.oauth2]\nclient_id = \"x\"\ntenant = \"consumers\"");
    let endpoint = by_host.authorization_endpoint.unwrap();
    assert_eq!(endpoint.as_str(), "https://login.microsoftonline.com/consumers/oauth2/v2.0/authorize");
    assert!(by_host.device_authorization_endpoint.is_some() && by_host.redirect == "http://localhost");
    let own = of(
        "host = \"e.org\"\noauth2 = { provider = \"google\", client_id = \"x\", scope = \"mail\", token_endpoint = \"https://e.org/t\" }",
    );
    assert_eq!((own.scope.as_deref(), own.token_endpoint.unwrap().as_str()), (Some("mail"), "https://e.org/t"));
    // A client that registers itself must be told by the server where.
    let fastmail = of("provider = \"fastmail\"\noauth2 = {}");
    assert_eq!(fastmail.issuer.unwrap().host(), "api.fastmail.com");
    // An account's own credential takes precedence over that of [defaults].
    let both = format!("[defaults]\noauth2 = {{ client_id = \"x\" }}\n{}", with_password("provider = \"gmail\""));
    assert!(!config(&both).accounts[0].uses_token);
}

#[test]
fn each_wrong_value_of_a_sign_in_is_shown_with_the_next_step() {
    for (table, message, help) in [
        ("oauth2 = true", "`oauth2` is true or false, but a table", "client_id"),
        ("oauth2 = { client_id = \"x\" }", "does not say where its tokens come from", "provider = \"google\""),
        ("oauth2 = { provider = \"google\" }", "has no `client_id`", "Desktop app"),
        (
            "oauth2 = { provider = \"gogle\", client_id = \"x\" }",
            "`provider` cannot be \"gogle\"",
            "did you mean \"google\"?",
        ),
        (
            "oauth2 = { provider = \"google\", clientid = \"x\" }",
            "unknown key `clientid` in `oauth2` of [accounts.a]",
            "client_id",
        ),
        (
            "oauth2 = { client_id = \"x\", token_endpoint = \"http://e.org/t\" }",
            "`token_endpoint` is not encrypted",
            "https://",
        ),
        (
            "oauth2 = { client_id = \"x\", token_endpoint = \"e.org\" }",
            "`token_endpoint` is not a URL",
            "whole address",
        ),
        (
            "oauth2 = { client_id = \"x\", issuer = \"https://e.org\", tenant = \"y\" }",
            "only Microsoft's",
            "leave it out",
        ),
        ("oauth2 = { provider = \"microsoft\", client_id = \"x\", tenant = \"a/b\" }", "no directory", "consumers"),
        (
            "oauth2 = { client_id = \"x\", issuer = \"https://e.org\", redirect = \"here\" }",
            "`redirect` is not a URL",
            "127.0.0.1",
        ),
        (
            "oauth2 = { provider = \"google\", client_id = \"x\" }\nauth = \"plain\"",
            "`auth` sends a password",
            "leave `auth` out",
        ),
        (
            "oauth2 = { provider = \"google\", client_id = \"x\" }\ntoken_command = [\"x\"]",
            "both say how to log in",
            "alone",
        ),
        (
            "token_command = [\"x\"]\npassword_command = [\"x\"]",
            "both say where the password or token comes from",
            "keep one",
        ),
        ("client_id = \"x\"\npassword_command = [\"x\"]", "unknown key `client_id`", "`oauth2` of an account"),
    ] {
        let (said, count) = errors(&text(&format!("username = \"jo\"\nhost = \"pop.example.org\"\n{table}")));
        assert!(said.contains(message) && said.contains(help), "{table}:\n{said}");
        assert_eq!(count, 1, "{table}:\n{said}");
    }
}

#[test]
fn the_secret_of_a_client_is_never_shown_and_its_file_is_private() {
    let lines = "provider = \"gmail\"\noauth2 = { client_id = \"x\", client_secret = \"hush-7\", port = 1 }";
    for line in [lines.to_owned(), lines.replace("client_secret", "clientsecret"), lines.replace(" }", "")] {
        let (said, _) = errors(&text(&format!("username = \"jo\"\n{line}")));
        assert!(!said.contains("hush-7"), "{said}");
    }
    let good = text(&format!("username = \"jo\"\n{}", lines.replace(", port = 1", "")));
    let shown = format!("{:?}", settings(&config(&good)));
    assert!(!shown.contains("hush-7"), "{shown}");
    let (_dir, path) = super::file_with_mode(&good, 0o644);
    let said = crate::config::load(&path, &super::env()).unwrap_err().to_string();
    assert!(said.contains("so other users can read its passwords") && !said.contains("hush-7"), "{said}");
}
