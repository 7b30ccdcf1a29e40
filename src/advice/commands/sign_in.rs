//! `mailferry login`, and what follows a sign-in.

use std::fmt::Display;

use crate::command_line::this_program;
use crate::exit::ExitStatus;

/// Why there is nothing to sign in to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoSignIn {
    /// Another program provides the tokens.
    TokenCommand,
    /// The account logs in with a password, and where its mail goes there is a sign-in.
    OfDestination,
    /// The account logs in with a password.
    Password,
}

/// Tells why, and what to do.
pub(crate) fn nothing_to_sign_in_to(account: &str, why: NoSignIn) -> String {
    match why {
        NoSignIn::TokenCommand => {
            format!("{account}: its tokens come from `token_command`, so sign in with that program")
        }
        NoSignIn::OfDestination => format!(
            "{account}: it logs in with a password; the destination of its mail has a sign-in: {}",
            this_program(&format!("login --forward {account}"))
        ),
        NoSignIn::Password => format!(
            "{account}: it logs in with a password, so there is nothing to sign in to; for OAuth 2.0 replace the \
             password with oauth2 = {{ ... }}, as \"OAuth 2.0\" in the documentation says"
        ),
    }
}

/// About a mailbox that could not be opened after a sign-in that ended with `status`; `other` signed in, if that is not
/// the mailbox's user.
pub(crate) fn mailbox_not_opened(status: ExitStatus, other: Option<&str>) -> Option<String> {
    match other {
        Some(other) => Some(format!("{other} signed in: sign in again as the account's `username`")),
        None if status == ExitStatus::Auth => Some(
            "Check that POP3 is enabled for this mailbox: \"Providers\" in the documentation says where".to_owned(),
        ),
        None => None,
    }
}

/// Tells that a password would do at this provider, which `kind` of it and at which `place` it is enabled.
pub(crate) fn password_would_do(provider: &str, kind: &str, place: Option<&str>) -> String {
    let place = place.map(|place| format!(" In its settings: {place}.")).unwrap_or_default();
    format!(
        "{provider} accepts {kind} as well, which takes two minutes and needs no client registration: \"Providers\" in the documentation \
         says how. To go on with OAuth 2.0, read on.{place}\n"
    )
}

/// Tells how to sign in on another device; the code is good for `time`.
pub(crate) fn on_another_device(user: &str, address: impl Display, code: impl Display, time: impl Display) -> String {
    format!(
        "Open this address on any device, sign in as {user}, and type in the code:\n\n    {address}\n\n    {code}\n\nThe \
         code is good for {time}. Give it to nobody: whoever enters it opens this mailbox to the one who began.\n"
    )
}

/// How the address that a browser ends at comes back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ComesBack<'a> {
    /// The address begins with this.
    pub(crate) redirect: &'a str,
    /// Whether the user has to paste it here.
    pub(crate) by_hand: bool,
    /// Whether the user wanted that.
    pub(crate) paste: bool,
    /// The port of this machine where it is waited for, if any.
    pub(crate) port: Option<u16>,
    /// Whether there is a terminal to paste it at.
    pub(crate) is_terminal: bool,
}

/// Tells how to sign in with a browser, which may have been `opened` with this address.
pub(crate) fn in_a_browser(user: &str, url: impl Display, opened: bool, comes_back: &ComesBack<'_>) -> String {
    let ComesBack { redirect, by_hand, paste, port, is_terminal } = *comes_back;
    let begin = if opened { "This address was opened in a browser" } else { "Open this address in a browser" };
    let mut words = format!("{begin}. Sign in there as {user}:\n\n    {url}\n");
    if by_hand {
        words.push_str(&format!(
            "\nIn the end the browser is sent to an address that begins with {redirect}, and may show an error page. \
             Copy that address from the address bar, paste it here and press Enter.\n"
        ));
    }
    if let (true, Some(port)) = (by_hand && !paste, port) {
        words.push_str(&format!(
            "\nIf the machine you came from by ssh has a browser, running this there saves the pasting:\n\n    \
             ssh -L {port}:127.0.0.1:{port} THIS-MACHINE\n"
        ));
    }
    if is_terminal && !by_hand {
        words.push_str("\nIf nothing happens here afterwards, paste the address that the browser ended at.\n");
    } else if !is_terminal && port.is_some() && !paste {
        words.push_str("\nWaiting for the browser; Ctrl-C ends.\n");
    }
    words
}

/// Tells that a sign-in for forwarding succeeded, and how to see whether its mailbox opens.
pub(crate) fn signed_in_to_forward(account: &str) -> String {
    let forward = this_program(&format!("forward {account}"));
    format!("{account}: signed in; to check that the mailbox opens: {forward}")
}
