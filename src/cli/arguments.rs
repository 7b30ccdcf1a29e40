//! The command line.

use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand};
use clap_complete::engine::ArgValueCompleter;

use super::account_names::accounts;

use crate::config;
use crate::control::LONGEST_OFTEN;
use crate::setup::settings::LeaveOnServer;

/// The heading under which `--help` shows the options of all commands.
const FOR_ALL: &str = "For all commands";

/// Ferries mail from POP3 servers into Maildirs, each message exactly once.
#[derive(Debug, Parser)]
#[command(
    name = "mailferry",
    bin_name = "mailferry",
    version,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub(super) struct Arguments {
    /// The configuration [default: $MAILFERRY_CONFIG, else mailferry/config.toml in $XDG_CONFIG_HOME, else
    /// /etc/mailferry/config.toml]
    #[arg(long, global = true, help_heading = FOR_ALL, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,

    /// Where the record of what was fetched is kept [default: `state_dir` in the configuration, else $STATE_DIRECTORY,
    /// else
    /// /var/lib/mailferry for a configuration in /etc, else mailferry in $XDG_STATE_HOME]
    #[arg(long, global = true, help_heading = FOR_ALL, value_name = "DIR")]
    pub(super) state_dir: Option<PathBuf>,

    /// Show the dialogue with the servers, without secrets; -vv also shows every line of every listing
    #[arg(short, long, global = true, help_heading = FOR_ALL, action = ArgAction::Count)]
    pub(super) verbose: u8,

    /// Print only errors
    #[arg(short, long, global = true, help_heading = FOR_ALL, conflicts_with = "verbose")]
    pub(super) quiet: bool,

    /// How to write log lines
    #[arg(
        long,
        global = true,
        help_heading = FOR_ALL,
        value_name = "FORMAT",
        value_enum,
        default_value_t = LogFormat::Auto
    )]
    pub(super) log_format: LogFormat,

    #[command(subcommand)]
    pub(super) command: Command,
}

// The options of a command are only built if that command is given. `--help` shows the comments below, so the structs
// of the commands have no doc comments: those would be shown instead.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(super) enum Command {
    /// Poll once, now, then exit: for cron, timers and terminals
    Fetch(Fetch),
    /// Stay in the foreground and poll every account on its schedule: for systemd
    Daemon,
    /// Tell the running daemon to poll now
    Poll(Poll),
    /// Forward the mail that waits in the spool now
    Forward(Forward),
    /// Show what the running daemon did and will do
    Status(Status),
    /// Sign in to an account by OAuth 2.0
    Login(Login),
    /// Find the server of a mail address, try the login and write the account
    Setup(Box<Setup>),
    /// Take over another program's accounts, and its record of what was fetched
    Import(Import),
    /// Show and repair the record of what was fetched
    #[command(subcommand)]
    Uids(Uids),
    /// Check everything that a poll needs, without changing anything
    Check(Check),
    /// Open an interactive POP3 session, logged in: type STAT, LIST, TOP 3 10
    Console(Console),
    /// Print a completion script for a shell
    Completions(Completions),
    /// Print the manual page: mailferry man | man -l -
    Man(Man),
}

// Forwards.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit status: 0 nothing waits any more; 1 the destination deferred some messages, or some are set \
aside, or wait at an account that does not forward; 64 usage; \
69 no trusted connection; 73 the spool or the state cannot be used; 75 the destination cannot be reached, is full, or is \
not done in time, or another mailferry forwards; 76 it speaks neither IMAP nor LMTP properly; 77 it refused the login; 78 \
configuration, recipient, mailbox or command; 130 and 143 interrupted. Of several accounts the worst one counts.")]
pub(super) struct Forward {
    /// The accounts [default: all that forward]
    #[arg(value_name = "ACCOUNT", add = ArgValueCompleter::new(accounts))]
    pub(super) accounts: Vec<String>,

    /// Also retry what the destination refused for good
    #[arg(long)]
    pub(super) again: bool,
}

// Makes an account.
#[derive(Debug, Args)]
#[command(after_help = "\
Missing options are asked for on the terminal; without a terminal, they are listed and nothing is \
done. The \
server is looked up in the table of providers, then in what the domain publishes (PACC, DNS SRV, autoconfig over \
https), \
then, if you agree, in the ISPDB, then under the usual names. Nothing is tried without TLS. Exit status: as for \
`fetch`; \
nothing is written unless it is 0.")]
pub(super) struct Setup {
    /// The mail address
    #[arg(value_name = "ADDRESS")]
    pub(super) address: Option<String>,

    /// A name for the account [default: made from the address]
    #[arg(long, value_name = "NAME")]
    pub(super) name: Option<String>,

    /// The POP3 server; nothing is looked up then
    #[arg(long, value_name = "HOST")]
    pub(super) host: Option<String>,

    /// Its port [default: 995, with starttls 110]
    #[arg(long, value_name = "PORT", requires = "host", value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) port: Option<u16>,

    /// When TLS begins
    #[arg(long, value_name = "WHEN", requires = "host", value_enum, default_value_t = WhenTls::Implicit)]
    pub(super) tls: WhenTls,

    /// Accept this server if it is found, even outside the address's own domain
    #[arg(long, value_name = "HOST", conflicts_with = "host")]
    pub(super) accept_host: Option<String>,

    /// Whether to ask the ISPDB, which then learns the domain
    #[arg(long, value_name = "ANSWER", value_enum)]
    pub(super) ispdb: Option<YesOrNo>,

    /// The name to log in with [default: the one in the server's description, else the address]
    #[arg(long, value_name = "NAME")]
    pub(super) username: Option<String>,

    /// Read the password from standard input; it is stored in a file beside the configuration
    #[arg(long, group = "secret")]
    pub(super) password_stdin: bool,

    /// A command that prints the password
    #[arg(long, value_name = "COMMAND", group = "secret")]
    pub(super) password_command: Option<String>,

    /// A file that holds the password
    #[arg(long, value_name = "FILE", group = "secret")]
    pub(super) password_file: Option<PathBuf>,

    /// A systemd credential that holds the password; --password-stdin creates it
    #[arg(long, value_name = "NAME", conflicts_with_all = ["password_command", "password_file", "sign_in"])]
    pub(super) password_credential: Option<String>,

    /// Sign in by OAuth 2.0, in a browser
    #[arg(long, group = "secret")]
    pub(super) sign_in: bool,

    /// The OAuth 2.0 client identifier
    #[arg(long, value_name = "ID")]
    pub(super) client_id: Option<String>,

    /// A file that holds the client's secret
    #[arg(long, value_name = "FILE")]
    pub(super) client_secret_file: Option<PathBuf>,

    /// The directory (tenant) of a Microsoft account, such as consumers
    #[arg(long, value_name = "TENANT")]
    pub(super) tenant: Option<String>,

    /// The Maildir to deliver to
    #[arg(long, value_name = "DIR")]
    pub(super) maildir: Option<String>,

    /// Forward to this Gmail address instead of delivering to a Maildir
    #[arg(long, value_name = "ADDRESS", conflicts_with = "maildir")]
    pub(super) gmail: Option<String>,

    /// A file that holds the app password of that address
    #[arg(long, value_name = "FILE", requires = "gmail", conflicts_with = "gmail_password_command")]
    pub(super) gmail_password_file: Option<PathBuf>,

    /// A command that prints the app password of that address
    #[arg(long, value_name = "COMMAND", requires = "gmail")]
    pub(super) gmail_password_command: Option<String>,

    /// Whether delivered mail stays on the server: yes, no, or for a time such as 14d
    #[arg(long, value_name = "ANSWER", value_parser = LeaveOnServer::new)]
    pub(super) leave_on_server: Option<LeaveOnServer>,

    /// Which mail to fetch
    #[arg(long, value_name = "WHICH", value_enum)]
    pub(super) messages: Option<Which>,

    /// Whether to start the daemon as a service of yours; without a terminal the default is no
    #[arg(long, value_name = "ANSWER", value_enum)]
    pub(super) user_unit: Option<YesOrNo>,

    /// Ask this DNS server instead of the system's
    #[arg(long, value_name = "ADDRESS", value_parser = resolver)]
    pub(super) resolver: Option<SocketAddr>,

    /// Reach servers through this proxy; DNS is used only with --resolver
    #[arg(long, value_name = "URL")]
    pub(super) proxy: Option<String>,

    /// The authorities to trust for the POP3 server, instead of the system's
    #[arg(long, value_name = "FILE")]
    pub(super) tls_ca_file: Option<PathBuf>,
}

/// When TLS begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum WhenTls {
    /// From the first byte
    Implicit,
    /// After STLS, never without it
    Starttls,
}

/// The answer to a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum YesOrNo {
    Yes,
    No,
}

/// Which mail is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Which {
    /// Everything on the server
    All,
    /// What arrives from now on
    New,
}

/// The address of a DNS server, with or without a port.
fn resolver(text: &str) -> Result<SocketAddr, String> {
    let with_port = || text.parse::<SocketAddr>().ok();
    let found = text.parse::<IpAddr>().map(|address| SocketAddr::new(address, 53)).ok().or_else(with_port);
    found.ok_or_else(|| "write an address such as 192.0.2.53, or 127.0.0.1:5353".to_owned())
}

// Moves in.
#[derive(Debug, Args)]
pub(super) struct Import {
    /// The program to take over
    #[arg(value_enum)]
    pub(super) program: ProgramName,

    /// Its configuration, if it is not in the usual place; for Thunderbird, a profile
    #[arg(value_name = "PATH")]
    pub(super) path: Option<PathBuf>,

    /// Its record of what was fetched, if it is not where its configuration says
    #[arg(long, value_name = "PATH")]
    pub(super) fetched: Option<PathBuf>,

    /// Show what would be written, and write nothing
    #[arg(long)]
    pub(super) dry_run: bool,

    /// Let what the other program fetched be deleted on the server, as `leave_on_server` says
    #[arg(long)]
    pub(super) trust_deliveries: bool,

    /// Do not fetch what is on the server now, where nothing says what was fetched before
    #[arg(long)]
    pub(super) mark_existing: bool,
}

/// The programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum ProgramName {
    /// ~/.fetchmailrc and ~/.fetchids
    Fetchmail,
    /// The rc files of ~/.config/getmail or ~/.getmail, and oldmail-*
    Getmail,
    /// ~/.mpoprc or ~/.config/mpop/config, and ~/.mpop_uidls
    Mpop,
    /// ~/.fdm.conf, and the caches that it names
    Fdm,
    /// The default profile, and popstate.dat
    Thunderbird,
}

/// What is done with what is remembered.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(super) enum Uids {
    /// List the record; without an account, a summary of each
    List(List),
    /// Mark messages on the server as fetched: they are not fetched, and never deleted
    Adopt(Adopt),
    /// Forget messages, so that they are fetched again
    Forget(Forget),
}

// Shows it.
#[derive(Debug, Args)]
pub(super) struct List {
    /// The accounts, each with its messages [default: one line about each account]
    #[arg(value_name = "ACCOUNT", add = ArgValueCompleter::new(accounts))]
    pub(super) accounts: Vec<String>,

    /// Print one JSON object per line, for each message
    #[arg(long)]
    pub(super) json: bool,
}

// Counts messages as fetched.
#[derive(Debug, Args)]
#[command(override_usage = "\
mailferry uids adopt [OPTIONS] <ACCOUNT> <--all|--before <DATE>|--from-maildir [<MAILDIR>]>")]
#[command(group(clap::ArgGroup::new("which").required(true).args(["all", "before", "from_maildir"])))]
pub(super) struct Adopt {
    /// The account
    #[arg(value_name = "ACCOUNT", add = ArgValueCompleter::new(accounts))]
    pub(super) account: String,

    /// All messages on the server now
    #[arg(long)]
    pub(super) all: bool,

    /// Messages that arrived before this date
    #[arg(long, value_name = "DATE")]
    pub(super) before: Option<String>,

    /// Messages that a Maildir holds [default: all Maildirs of the account]
    #[arg(long, value_name = "MAILDIR", num_args = 0..=1)]
    pub(super) from_maildir: Option<Option<PathBuf>>,

    /// Do not ask
    #[arg(long)]
    pub(super) yes: bool,
}

// Fetches again.
#[derive(Debug, Args)]
#[command(override_usage = "mailferry uids forget [OPTIONS] <ACCOUNT> <--all|UNIQUE-ID...>")]
#[command(group(clap::ArgGroup::new("which").required(true).args(["all", "unique_ids"])))]
pub(super) struct Forget {
    /// The account
    #[arg(value_name = "ACCOUNT", add = ArgValueCompleter::new(accounts))]
    pub(super) account: String,

    /// The unique-ids, as `uids list` shows them
    #[arg(value_name = "UNIQUE-ID")]
    pub(super) unique_ids: Vec<String>,

    /// All of them
    #[arg(long)]
    pub(super) all: bool,

    /// Do not ask
    #[arg(long)]
    pub(super) yes: bool,
}

// A prompt.
#[derive(Debug, Args)]
#[command(after_help = "\
Commands may come from a pipe, one per line; then there is no prompt, and the exit status is 64 if one was not \
understood, and 1 if one was refused, or messages were marked and the input ended without QUIT, so that they stay. \
DELE deletes on your word alone; mailferry's record of the account does not change. The account is \
not polled while the prompt is open.")]
pub(super) struct Console {
    /// The account
    #[arg(value_name = "ACCOUNT", add = ArgValueCompleter::new(accounts))]
    pub(super) account: String,

    /// Do not ask before DELE
    #[arg(long)]
    pub(super) yes: bool,
}

// Prints a script.
#[derive(Debug, Args)]
#[command(after_help = "\
bash: mailferry completions bash > ~/.local/share/bash-completion/completions/mailferry
zsh:  mailferry completions zsh > _mailferry, in a directory of $fpath
fish: mailferry completions fish > ~/.config/fish/completions/mailferry.fish")]
pub(super) struct Completions {
    /// The shell
    #[arg(value_name = "SHELL", value_enum)]
    pub(super) shell: Shell,
}

/// A shell for which there is a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Shell {
    /// bash(1)
    Bash,
    /// zsh(1)
    Zsh,
    /// fish(1)
    Fish,
}

impl Shell {
    /// Its name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Bash => "bash",
            Self::Zsh => "zsh",
            Self::Fish => "fish",
        }
    }
}

// Prints a page.
#[derive(Debug, Args)]
pub(super) struct Man {
    /// The section: 1 for the program, 5 for the configuration
    #[arg(value_name = "SECTION", default_value_t = 1, value_parser = section)]
    pub(super) section: u8,
}

fn section(word: &str) -> Result<u8, String> {
    match word {
        "1" => Ok(1),
        "5" => Ok(5),
        _ => Err("the sections are 1, the program, and 5, the configuration".to_owned()),
    }
}

/// What `-v` does in `check`.
const CHECK_VERBOSE: &str = "Show every step; -vv also shows the dialogue with the servers, without secrets, -vvv also \
                             every line of every listing";

// Looks, and changes nothing.
#[derive(Debug, Args)]
#[command(mut_arg("verbose", |verbose| verbose.help(CHECK_VERBOSE)))]
#[command(after_help = "\
Each server gets one session, which ends in order; no \
message \
is retrieved, marked or deleted, and nothing is written. Exit status: as for `fetch`; of several accounts the worst \
one \
counts, and warnings alone give 0.")]
pub(super) struct Check {
    /// The accounts to check [default: all that are enabled]
    #[arg(value_name = "ACCOUNT", add = ArgValueCompleter::new(accounts))]
    pub(super) accounts: Vec<String>,

    /// Check the configuration alone: no secret is read and no server is contacted
    #[arg(long)]
    pub(super) offline: bool,

    /// Print JSON for scripts, described in docs/operations.md
    #[arg(long)]
    pub(super) json: bool,
}

// Wakes the daemon.
#[derive(Debug, Args)]
#[command(override_usage = "\
mailferry poll [OPTIONS] [ACCOUNT]...
       mailferry poll --test-notify")]
pub(super) struct Poll {
    /// Keep polling often for this long, such as 10m, because mail is expected; at most 1h
    #[arg(long = "for", value_name = "TIME", value_parser = often)]
    pub(super) often_for: Option<Duration>,

    /// Poll nothing; have the daemon run the command of [notify], and report the result
    #[arg(long, conflicts_with_all = ["often_for", "accounts"])]
    pub(super) test_notify: bool,

    /// The accounts to poll [default: all]
    #[arg(value_name = "ACCOUNT", add = ArgValueCompleter::new(accounts))]
    pub(super) accounts: Vec<String>,
}

/// For how long to poll often.
fn often(text: &str) -> Result<Duration, String> {
    config::duration_in_words(text, (Duration::from_secs(60), "1m"), (LONGEST_OFTEN, "1h"), "10m")
}

// Signs in.
#[derive(Debug, Args)]
pub(super) struct Login {
    /// The account to sign in to
    #[arg(value_name = "ACCOUNT", add = ArgValueCompleter::new(accounts))]
    pub(super) account: String,

    /// Open no browser here; paste the final address from a browser elsewhere (the default over ssh)
    #[arg(long, conflicts_with = "device")]
    pub(super) paste: bool,

    /// Sign in on another device with a code, if the provider offers that
    #[arg(long)]
    pub(super) device: bool,

    /// Sign in to the IMAP server that the account's mail is forwarded to
    #[arg(long)]
    pub(super) forward: bool,
}

// Asks the daemon.
#[derive(Debug, Args)]
pub(super) struct Status {
    /// Print JSON for scripts, described in docs/operations.md
    #[arg(long, conflicts_with = "watch")]
    pub(super) json: bool,

    /// Keep the display up to date, until q or Ctrl-C
    #[arg(long)]
    pub(super) watch: bool,

    /// For monitors: exit with 1 if an account is in trouble, with 78 if the changed configuration was refused
    #[arg(long, conflicts_with = "watch")]
    pub(super) check: bool,

    /// The accounts to show in full [default: all, in short]
    #[arg(value_name = "ACCOUNT", add = ArgValueCompleter::new(accounts))]
    pub(super) accounts: Vec<String>,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum LogFormat {
    /// To the journal if a daemon's standard error leads there, else text
    Auto,
    /// Lines for people
    Text,
    /// One JSON object per line
    Json,
    /// To the journal, with fields
    Journald,
}

// Polls once.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit status: 0 everything was dealt with, new mail or not; 1 some messages could not be fetched; 64 usage; 69 no trusted \
connection; 73 the Maildir or the state cannot be used; 75 try again later; 76 the server does not speak POP3 \
properly; \
77 login refused; 78 configuration; 130 and 143 interrupted. Where mail is forwarded, also what `help forward` says. Of \
several accounts the worst one counts.")]
pub(super) struct Fetch {
    /// The accounts to poll [default: all that are enabled]
    #[arg(value_name = "ACCOUNT", add = ArgValueCompleter::new(accounts))]
    pub(super) accounts: Vec<String>,

    /// For cron and timers: skip accounts whose back-off is not over, and report each problem once
    #[arg(long, conflicts_with_all = ["dry_run", "wait"])]
    pub(super) scheduled: bool,

    /// Show what would be fetched and deleted, and do neither
    #[arg(long)]
    pub(super) dry_run: bool,

    /// Print one JSON object per account, described in docs/operations.md
    #[arg(long)]
    pub(super) json: bool,

    /// Wait for an account that another mailferry is polling
    #[arg(long)]
    pub(super) wait: bool,

    /// Exit as fetchmail does: 0 mail was fetched, 1 there was none, 2 and above for errors
    #[arg(long)]
    pub(super) fetchmail_exit_codes: bool,

    /// Start over where the record of what was fetched is lost: everything on the server is fetched again
    #[arg(long)]
    pub(super) new_state: bool,

    /// Accept the Maildir that is there now, though it is not the one that was delivered to before
    #[arg(long)]
    pub(super) accept_maildir: bool,

    /// Where the server has renumbered its messages and nothing can show which they are: fetch them again
    #[arg(long)]
    pub(super) fetch_again: bool,
}

/// Whether a command line that could not be parsed asks for fetchmail's exit codes.
pub(super) fn ask_for_fetchmail_codes(words: &[OsString]) -> bool {
    words.iter().any(|word| word == "--fetchmail-exit-codes")
}
