//! `mailferry setup`: the options that give what cannot be asked, and the words of others in terms of these options.

use crate::command_line::this_program;

/// The option for the address, in words: it has no name.
pub(crate) const ADDRESS: &str = "the address";

/// The options that say where mail goes.
pub(crate) const WHERE_TO: &str = "--maildir DIR or --gmail ADDRESS";

/// The options that say where the password is.
pub(crate) const SECRET: &str =
    "one of --password-stdin, --password-command, --password-file, --password-credential and --sign-in";

/// The options that say where the app password of a Gmail address is.
pub(crate) const GMAIL_SECRET: &str = "--gmail-password-file or --gmail-password-command";

/// The option that says whether mail stays on the server.
pub(crate) const LEAVE_ON_SERVER: &str = "--leave-on-server yes, no or a time such as 14d";

/// The option that says which messages are fetched.
pub(crate) const MESSAGES: &str = "--messages all or new";

/// The option that accepts this host.
pub(crate) fn accept_host(host: &str) -> String {
    format!("--accept-host {host}, if it is the server of your provider")
}

/// About answers that cannot be asked for: the options that give them. A sentence.
pub(crate) fn give(options: &[&str]) -> String {
    format!("Give {}", options.join("; "))
}

/// Tells that `what` is wrong with the address of `--gmail`.
pub(crate) fn wrong_gmail(what: &str) -> String {
    format!("--gmail: {what}")
}

/// About a name that cannot be chosen, to follow that fact.
pub(crate) const GIVE_NAME: &str = "give --name";

/// About a name that is taken, to follow that fact.
pub(crate) const ANOTHER_NAME: &str = "give another --name";

/// About a server that was not found, to follow that fact.
pub(crate) const GIVE_HOST: &str = "give --host";

/// The same, if somebody who was asked did not answer.
pub(crate) const OR_LATER: &str = ", or try again later";

/// About mail that would stay on a server without unique-ids, to follow that fact.
pub(crate) const LEAVE_NONE: &str = "with --leave-on-server no it works";

/// About a login that was refused with the name that was assumed. To follow that fact.
pub(crate) const GIVE_USERNAME: &str = "if the login name is another one, give --username NAME";

/// About a password that systemd cannot keep, to follow that fact.
pub(crate) const ANOTHER_WAY: &str = "keep the password another way";

/// The same where it is asked for.
pub(crate) const ONE_OR_TWO: &str = "write 1 or 2";

/// About a sign-in that nothing is known of, to follow that fact.
pub(crate) const BY_HAND: &str = "write the account by hand, as \"OAuth 2.0\" in the documentation says";

/// About a server that takes OAuth 2.0 alone. A sentence with its full stop.
pub(crate) const OAUTH_ALONE: &str =
    "It says that it takes OAuth 2.0 alone: \"OAuth 2.0\" in the documentation has what an account needs for that.";

/// About an address at a provider that mail can be forwarded to, but not by setup. To follow that fact.
pub(crate) const OTHER_DESTINATIONS: &str = "for others see \"Forwarding\" in the documentation";

/// Tells what an app password of Gmail is, and where to make one.
pub(crate) const APP_PASSWORD: &str =
    "Gmail wants an app password of 16 letters. Make one at: https://myaccount.google.com/apppasswords";

/// About a machine without a service manager of the user, to follow that fact.
pub(crate) const OTHER_SERVICES: &str = "\"mailferry under systemd\" in the documentation has other ways";

/// Tells how to see what the user's service does.
pub(crate) const SEE_STATUS: &str = "`mailferry status` tells how it gets on.";

/// Tells how to see whether Gmail accepts the login; `to` is the address.
pub(crate) fn see_gmail(to: impl std::fmt::Display, account: impl std::fmt::Display) -> String {
    format!("See whether Gmail lets {to} in: {} {account}", this_program("check"))
}

/// Tells how to fetch the new account's mail.
pub(crate) fn fetch_now(account: impl std::fmt::Display) -> String {
    format!("Fetch now: {} {account}", this_program("fetch"))
}

/// Tells how the service of the user (or of the machine) gets a password that systemd keeps, and who does not.
pub(crate) fn read_by_systemd(account: impl std::fmt::Display, of_user: bool) -> String {
    let user = if of_user { " --user" } else { "" };
    format!(
        "The service gets the password once systemd has read this: systemctl{user} daemon-reload; systemctl{user} restart \
         mailferry. A `mailferry fetch {account}` in a terminal does not have it."
    )
}

/// Keys of the configuration that advice names, and the options of `setup` to name instead.
const OPTIONS: [(&str, &str); 5] = [
    ("tls_ca_file", "--tls-ca-file"),
    ("Set host to", "Give --host with"),
    ("Check the host and the port", "Check --host and --port"),
    ("Set tls = \"implicit\"", "Give --tls implicit"),
    ("Set tls = \"starttls\"", "Give --tls starttls"),
];

/// Rewrites advice about a server for a user who has no configuration yet.
pub(crate) fn about_server(words: &str) -> String {
    OPTIONS.iter().fold(words.to_owned(), |words, (key, option)| words.replace(key, option))
}

/// Rewrites a message about keys of the account so that it names the options that they come from.
pub(crate) fn about_account(words: &str) -> String {
    const KEYS: [&str; 14] = [
        "host",
        "port",
        "tls",
        "username",
        "password_file",
        "password_command",
        "password_credential",
        "client_id",
        "client_secret_file",
        "tenant",
        "maildir",
        "leave_on_server",
        "proxy",
        "tls_ca_file",
    ];
    KEYS.iter().fold(words.to_owned(), |words, key| {
        words.replace(&format!("`{key}`"), &format!("--{}", key.replace('_', "-")))
    })
}
