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

/// Where `--help` shows the options that every command has.
const FOR_ALL: &str = "For all commands";

/// Ferries mail from POP3 servers into Maildirs, each message exactly once.
#[derive(Debug, Parser)]
#[command(
    name = "mailferry",
    version,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = false
)]
pub(super) struct Arguments {
    /// The configuration [default: $MAILFERRY_CONFIG, else mailferry/config.toml in $XDG_CONFIG_HOME, else
    /// /etc/mailferry/config.toml]
    #[arg(long, global = true, help_heading = FOR_ALL, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,

    /// Where it is remembered what was fetched [default: `state_dir` in the configuration, else $STATE_DIRECTORY, else
    /// /var/lib/mailferry for a configuration in /etc, else mailferry in $XDG_STATE_HOME]
    #[arg(long, global = true, help_heading = FOR_ALL, value_name = "DIR")]
    pub(super) state_dir: Option<PathBuf>,

    /// Show the dialogue with the servers, secrets hidden; twice: with every line of every listing
    #[arg(short, long, global = true, help_heading = FOR_ALL, action = ArgAction::Count)]
    pub(super) verbose: u8,

    /// Print nothing but errors
    #[arg(short, long, global = true, help_heading = FOR_ALL, conflicts_with = "verbose")]
    pub(super) quiet: bool,

    /// How log lines are written
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

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Poll once, now, then exit: for cron, timers and terminals
    Fetch(Fetch),
    /// Stay in the foreground and poll every account on its schedule: for systemd
    Daemon,
    /// Wake the running daemon: it polls now
    Poll(Poll),
    /// Try now what waits in the spool of accounts that forward their mail
    Forward(Forward),
    /// Tell what the running daemon did and will do
    Status(Status),
    /// Sign in to an account by OAuth 2.0
    Login(Login),
    /// Find the server of a mail address, try the login and write the account
    Setup(Box<Setup>),
    /// Take over another program: its accounts, and what it has fetched
    Import(Import),
    /// Look at what is remembered of an account, and repair it
    #[command(subcommand)]
    Uids(Uids),
    /// Look at everything that a poll needs, and change nothing
    Check(Check),
    /// A logged-in POP3 prompt: type STAT, LIST, TOP 3 10
    Console(Console),
    /// Print a script that completes words in a shell
    Completions(Completions),
    /// Print the manual page: mailferry man | man -l -
    Man(Man),
}

/// Forwards.
#[derive(Debug, Args)]
pub(super) struct Forward {
    /// The accounts [default: all that forward]
    #[arg(value_name = "ACCOUNT", add = ArgValueCompleter::new(accounts))]
    pub(super) accounts: Vec<String>,

    /// Try once more what the destination refused for good
    #[arg(long)]
    pub(super) again: bool,
}

/// Makes an account.
#[derive(Debug, Args)]
#[command(after_help = "\
What is not given is asked for on the terminal; without one, what is missing is named and nothing is done. Looked for the \
server are the table of providers, then what the domain says of itself (PACC, DNS SRV, autoconfig by https), then, if you \
agree, the ISPDB, then usual names. Nothing is tried without TLS. Exit status: that of `fetch`; nothing is written unless \
it ends with 0.")]
pub(super) struct Setup {
    /// The mail address
    #[arg(value_name = "ADDRESS")]
    pub(super) address: Option<String>,

    /// What the account is called [default: made from the address]
    #[arg(long, value_name = "NAME")]
    pub(super) name: Option<String>,

    /// The POP3 server; nothing is looked for
    #[arg(long, value_name = "HOST")]
    pub(super) host: Option<String>,

    /// Its port [default: 995, with starttls 110]
    #[arg(long, value_name = "PORT", requires = "host", value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) port: Option<u16>,

    /// When TLS begins there
    #[arg(long, value_name = "WHEN", requires = "host", value_enum, default_value_t = WhenTls::Implicit)]
    pub(super) tls: WhenTls,

    /// Take this server if it is found, although it is in none of the address's own domain
    #[arg(long, value_name = "HOST", conflicts_with = "host")]
    pub(super) accept_host: Option<String>,

    /// Whether the ISPDB may be asked, which tells it the domain
    #[arg(long, value_name = "ANSWER", value_enum)]
    pub(super) ispdb: Option<Answer>,

    /// The name to log in with [default: as the server's description says, else the address]
    #[arg(long, value_name = "NAME")]
    pub(super) username: Option<String>,

    /// Read the password from standard input; it is kept in a file beside the configuration
    #[arg(long, group = "secret")]
    pub(super) password_stdin: bool,

    /// The password is what this command prints
    #[arg(long, value_name = "COMMAND", group = "secret")]
    pub(super) password_command: Option<String>,

    /// The password is in this file
    #[arg(long, value_name = "FILE", group = "secret")]
    pub(super) password_file: Option<PathBuf>,

    /// The password is a systemd credential; with --password-stdin it is made into one
    #[arg(long, value_name = "NAME", conflicts_with_all = ["password_command", "password_file", "sign_in"])]
    pub(super) password_credential: Option<String>,

    /// Sign in by OAuth 2.0, in a browser
    #[arg(long, group = "secret")]
    pub(super) sign_in: bool,

    /// The client that signs in
    #[arg(long, value_name = "ID")]
    pub(super) client_id: Option<String>,

    /// The file with the client's secret
    #[arg(long, value_name = "FILE")]
    pub(super) client_secret_file: Option<PathBuf>,

    /// The directory of a Microsoft account, such as consumers
    #[arg(long, value_name = "TENANT")]
    pub(super) tenant: Option<String>,

    /// Where the mail goes
    #[arg(long, value_name = "DIR")]
    pub(super) maildir: Option<String>,

    /// In place of a Maildir: the Gmail address that mail goes on to
    #[arg(long, value_name = "ADDRESS", conflicts_with = "maildir")]
    pub(super) gmail: Option<String>,

    /// The app password of that address is in this file
    #[arg(long, value_name = "FILE", requires = "gmail", conflicts_with = "gmail_password_command")]
    pub(super) gmail_password_file: Option<PathBuf>,

    /// The app password of that address is what this command prints
    #[arg(long, value_name = "COMMAND", requires = "gmail")]
    pub(super) gmail_password_command: Option<String>,

    /// Whether delivered mail stays on the server: yes, no, or for how long, such as 14d
    #[arg(long, value_name = "ANSWER", value_parser = LeaveOnServer::new)]
    pub(super) leave_on_server: Option<LeaveOnServer>,

    /// Which mail is fetched
    #[arg(long, value_name = "WHICH", value_enum)]
    pub(super) messages: Option<Which>,

    /// Whether the daemon is started as a service of yours; without a terminal it is left alone unless this is given
    #[arg(long, value_name = "ANSWER", value_enum)]
    pub(super) user_unit: Option<Answer>,

    /// Ask this DNS server, in place of those of the system
    #[arg(long, value_name = "ADDRESS", value_parser = resolver)]
    pub(super) resolver: Option<SocketAddr>,

    /// Reach servers through this proxy; DNS is asked only if --resolver names a server
    #[arg(long, value_name = "URL")]
    pub(super) proxy: Option<String>,

    /// The authorities that vouch for the POP3 server, in place of the system's
    #[arg(long, value_name = "FILE")]
    pub(super) tls_ca_file: Option<PathBuf>,
}

/// When TLS begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum WhenTls {
    /// With the first byte
    Implicit,
    /// By STLS, and never without it
    Starttls,
}

/// The answer to a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Answer {
    /// Do it
    Yes,
    /// Leave it
    No,
}

/// Which mail is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Which {
    /// All that is on the server
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

/// Moves in.
#[derive(Debug, Args)]
pub(super) struct Import {
    /// The program
    #[arg(value_enum)]
    pub(super) program: ProgramName,

    /// Its configuration, if it is not where the program looks for it; for Thunderbird a profile
    #[arg(value_name = "PATH")]
    pub(super) path: Option<PathBuf>,

    /// Its record of what was fetched, if it is not where the configuration says
    #[arg(long, value_name = "PATH")]
    pub(super) fetched: Option<PathBuf>,

    /// Tell what would be written, and write nothing
    #[arg(long)]
    pub(super) dry_run: bool,

    /// What the other program fetched may be deleted on the server, as `leave_on_server` says
    #[arg(long)]
    pub(super) trust_deliveries: bool,

    /// Where nothing says what was fetched, what is on the server now counts as fetched
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
pub(super) enum Uids {
    /// Show it
    List(List),
    /// Count messages as fetched that are on the server: they are not fetched, and never deleted
    Adopt(Adopt),
    /// Fetch messages again that are on the server
    Forget(Forget),
}

/// Shows it.
#[derive(Debug, Args)]
pub(super) struct List {
    /// The account
    #[arg(value_name = "ACCOUNT", add = ArgValueCompleter::new(accounts))]
    pub(super) account: String,

    /// As a JSON object a line
    #[arg(long)]
    pub(super) json: bool,
}

/// Counts messages as fetched.
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("which").required(true).args(["all", "before", "from_maildir"])))]
pub(super) struct Adopt {
    /// The account
    #[arg(value_name = "ACCOUNT", add = ArgValueCompleter::new(accounts))]
    pub(super) account: String,

    /// All that are on the server now
    #[arg(long)]
    pub(super) all: bool,

    /// Those that came before this day
    #[arg(long, value_name = "DATE")]
    pub(super) before: Option<String>,

    /// Those that a Maildir holds; the account's own if none is named
    #[arg(long, value_name = "MAILDIR", num_args = 0..=1)]
    pub(super) from_maildir: Option<Option<PathBuf>>,

    /// Do not ask
    #[arg(long)]
    pub(super) yes: bool,
}

/// Fetches again.
#[derive(Debug, Args)]
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

/// A prompt.
#[derive(Debug, Args)]
#[command(after_help = "\
Commands may come from a pipe, one a line; then there is no prompt, and the exit status tells whether one was refused (1) or \
not understood (64), or the input ended without QUIT and so nothing that was marked is deleted (1). What is deleted is deleted by your word alone; what mailferry remembers of the account stays as it is. \
While the prompt is open the account is not polled.")]
pub(super) struct Console {
    /// The account
    #[arg(value_name = "ACCOUNT", add = ArgValueCompleter::new(accounts))]
    pub(super) account: String,

    /// Do not ask before DELE
    #[arg(long)]
    pub(super) yes: bool,
}

/// Prints a script.
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

/// Prints a page.
#[derive(Debug, Args)]
pub(super) struct Man {
    /// 1 for the program, 5 for the configuration
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

/// Looks, and changes nothing.
#[derive(Debug, Args)]
#[command(after_help = "\
With -v every step is shown, with -vv the dialogue with the servers, too. Each server gets one session that ends in order; \
no message is retrieved, marked or deleted, and nothing is written. Exit status: that of `fetch`; with several accounts the \
worst one counts, and warnings alone are 0.")]
pub(super) struct Check {
    /// The accounts to look at; all that are enabled if none is named
    #[arg(value_name = "ACCOUNT", add = ArgValueCompleter::new(accounts))]
    pub(super) accounts: Vec<String>,

    /// Look at the configuration alone: no secret is asked for and no server
    #[arg(long)]
    pub(super) offline: bool,

    /// Print it for scripts, as docs/operations.md describes it
    #[arg(long)]
    pub(super) json: bool,
}

/// Wakes the daemon.
#[derive(Debug, Args)]
pub(super) struct Poll {
    /// Go on polling often for so long, such as 10m, because mail is awaited: at most 1h
    #[arg(long = "for", value_name = "TIME", value_parser = often)]
    pub(super) often_for: Option<Duration>,

    /// Poll nothing; have the daemon run the command of [notify], and tell what became of it
    #[arg(long, conflicts_with_all = ["often_for", "accounts"])]
    pub(super) test_notify: bool,

    /// The accounts to poll; all if none is named
    #[arg(value_name = "ACCOUNT", add = ArgValueCompleter::new(accounts))]
    pub(super) accounts: Vec<String>,
}

/// For how long to poll often.
fn often(text: &str) -> Result<Duration, String> {
    config::duration_in_words(text, (Duration::from_secs(60), "1m"), (LONGEST_OFTEN, "1h"), "10m")
}

/// Signs in.
#[derive(Debug, Args)]
pub(super) struct Login {
    /// The account to sign in to
    #[arg(value_name = "ACCOUNT", add = ArgValueCompleter::new(accounts))]
    pub(super) account: String,

    /// Open no browser here, and take the address that one elsewhere was sent to; goes without saying over ssh
    #[arg(long, conflicts_with = "device")]
    pub(super) paste: bool,

    /// Sign in on another device, by a code, where the provider has that
    #[arg(long)]
    pub(super) device: bool,

    /// Sign in to the IMAP server that the account's mail is forwarded to
    #[arg(long)]
    pub(super) forward: bool,
}

/// Asks the daemon.
#[derive(Debug, Args)]
pub(super) struct Status {
    /// Print it for scripts, as docs/operations.md describes it
    #[arg(long, conflicts_with = "watch")]
    pub(super) json: bool,

    /// Show it again and again, until Ctrl-C
    #[arg(long)]
    pub(super) watch: bool,

    /// For monitors: end with 1 if an account is in trouble, with 78 if the changed configuration was refused
    #[arg(long, conflicts_with = "watch")]
    pub(super) check: bool,

    /// The accounts to tell everything about; all in short if none is named
    #[arg(value_name = "ACCOUNT", add = ArgValueCompleter::new(accounts))]
    pub(super) accounts: Vec<String>,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum LogFormat {
    /// To the journal if a daemon's standard error leads there, else as text
    Auto,
    /// As lines for people
    Text,
    /// As a JSON object a line
    Json,
    /// To the journal, with fields
    Journald,
}

/// Polls once.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit status: 0 everything was dealt with, new mail or not; 1 some messages could not be fetched; 64 usage; 69 no trusted \
connection; 73 the Maildir or the state cannot be used; 75 try later; 76 the server does not speak POP3; 77 login refused; \
78 configuration; 130 and 143 interrupted. With several accounts the worst one counts.")]
pub(super) struct Fetch {
    /// The accounts to poll; all that are enabled if none is named
    #[arg(value_name = "ACCOUNT", add = ArgValueCompleter::new(accounts))]
    pub(super) accounts: Vec<String>,

    /// Leave out accounts whose back-off is not over, and tell a trouble once: for cron and timers
    #[arg(long, conflicts_with_all = ["dry_run", "wait"])]
    pub(super) scheduled: bool,

    /// Tell what would be fetched and deleted, and do neither
    #[arg(long)]
    pub(super) dry_run: bool,

    /// Print a report of each account as a JSON object a line, as docs/operations.md describes it
    #[arg(long)]
    pub(super) json: bool,

    /// Wait for an account that another mailferry is polling
    #[arg(long)]
    pub(super) wait: bool,

    /// End as fetchmail does: 0 mail was fetched, 1 there was none, 2 and more its errors
    #[arg(long)]
    pub(super) fetchmail_exit_codes: bool,

    /// Begin anew where the record of what was fetched is lost: everything on the server is fetched again
    #[arg(long)]
    pub(super) new_state: bool,

    /// Take the Maildir that is there now, though it is not the one that was delivered to
    #[arg(long)]
    pub(super) accept_maildir: bool,

    /// Where the server has renumbered its messages and does not show their headers: fetch them again
    #[arg(long)]
    pub(super) fetch_again: bool,
}

/// Whether a command line that could not be understood asks for fetchmail's exit codes.
pub(super) fn ask_for_fetchmail_codes(words: &[OsString]) -> bool {
    words.iter().any(|word| word == "--fetchmail-exit-codes")
}
