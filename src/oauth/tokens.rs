//! The tokens of a sign-in, and how long they are valid. PURE.

use secrecy::zeroize::Zeroizing;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::secret::Secret;

/// The version of the file format.
const VERSION: u32 = 1;

/// The assumed lifetime of an access token if the server gives none, in seconds.
const ASSUMED: i64 = 60 * 60;

/// How long before it expires an access token is replaced, in seconds, so that it does not expire during a login.
const AHEAD: i64 = 5 * 60;

/// The largest random addition to that margin, in seconds, so that accounts do not all refresh at once.
pub const JITTER: i64 = 60;

/// The tokens of an account. Times are seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokens {
    /// The name that the account logs in with.
    pub username: String,
    /// The client to which they were issued.
    pub client_id: String,
    /// The client secret, if we registered the client.
    pub registered_secret: Option<Secret>,
    /// The token endpoint that issued them.
    pub token_endpoint: String,
    /// The client secret is sent in a header, not in the body.
    pub basic_auth: bool,
    /// The granted scope.
    pub scope: Option<String>,
    /// The access token.
    pub access: Secret,
    /// When it expires, if the server says.
    pub access_expires: Option<i64>,
    /// The refresh token.
    pub refresh: Option<Secret>,
    /// When it expires: as the server says, or by the known lifetime of unused ones.
    pub refresh_expires: Option<i64>,
    /// The server gave that time, so using the token does not postpone it.
    pub refresh_end_is_fixed: bool,
    /// When the tokens were issued.
    pub renewed: i64,
    /// When the user signed in.
    pub signed_in: i64,
    /// Why the user must sign in again, if so.
    pub ended: Option<String>,
}

/// When tokens were issued and when they expire, in seconds since 1970, for `mailferry status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenTimes {
    /// When the user signed in.
    pub signed_in: i64,
    /// When the tokens were issued.
    pub renewed: i64,
    /// When the access token expires, if the server says.
    pub access_expires: Option<i64>,
    /// When the refresh token expires, if known.
    pub refresh_expires: Option<i64>,
    /// Only a new sign-in postpones that, not use of the token.
    pub refresh_end_is_fixed: bool,
}

impl TokenTimes {
    /// Returns the number of whole days left of a sign-in whose end cannot be postponed by use, during its last
    /// quarter.
    #[must_use]
    pub fn last_days(&self, now: i64) -> Option<i64> {
        let end = self.refresh_expires.filter(|_| self.refresh_end_is_fixed)?;
        let quarter = end.saturating_sub(self.signed_in) / 4;
        let left = end.saturating_sub(now);
        (left > 0 && left <= quarter).then_some(left / (24 * 60 * 60))
    }
}

/// What can be done with tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// The access token is valid.
    Good,
    /// The access token is to be refreshed.
    Refresh,
    /// The access token has expired or was rejected, and there is no refresh token.
    NothingLeft,
    /// The sign-in has ended.
    Ended,
}

impl Tokens {
    /// Judges the tokens at the time `now`; `jitter` is at most [`JITTER`]. An access token that the server has
    /// rejected is not valid, whatever its lifetime.
    #[must_use]
    pub fn judge(&self, now: i64, jitter: i64, refused: Option<&Secret>) -> Judgement {
        if self.ended.is_some() {
            return Judgement::Ended;
        }
        let ahead = (self.lifetime() / 2).min(AHEAD.saturating_add(jitter));
        let good = refused != Some(&self.access) && self.left(now) > ahead;
        match (&self.refresh, good) {
            (_, true) => Judgement::Good,
            (Some(_), false) => Judgement::Refresh,
            // Without a refresh token, the access token is used until it expires.
            (None, false) if refused != Some(&self.access) && self.left(now) > 0 => Judgement::Good,
            (None, false) => Judgement::NothingLeft,
        }
    }

    /// Returns when they were issued and when they expire.
    #[must_use]
    pub fn times(&self) -> TokenTimes {
        TokenTimes {
            signed_in: self.signed_in,
            renewed: self.renewed,
            access_expires: self.access_expires,
            refresh_expires: self.refresh_expires.filter(|_| self.refresh.is_some()),
            refresh_end_is_fixed: self.refresh_end_is_fixed,
        }
    }

    /// Returns the remaining lifetime of the access token, in seconds. It is 0 if the clock is before the time of
    /// issue.
    #[must_use]
    pub fn left(&self, now: i64) -> i64 {
        if now < self.renewed { 0 } else { self.expires().saturating_sub(now) }
    }

    fn expires(&self) -> i64 {
        self.access_expires.unwrap_or_else(|| self.renewed.saturating_add(ASSUMED))
    }

    fn lifetime(&self) -> i64 {
        self.expires().saturating_sub(self.renewed).max(0)
    }

    /// Serializes the tokens for the file. The text contains them, and is wiped.
    pub(super) fn to_json(&self) -> Result<Zeroizing<Vec<u8>>, serde_json::Error> {
        let text = |secret: &Secret| String::from_utf8_lossy(secret.expose()).into_owned();
        let kept = TokenFile {
            version: VERSION,
            username: self.username.clone(),
            client_id: self.client_id.clone(),
            registered_secret: self.registered_secret.as_ref().map(text).map(Text::new),
            token_endpoint: self.token_endpoint.clone(),
            basic_auth: self.basic_auth,
            scope: self.scope.clone(),
            access_token: Text::new(text(&self.access)),
            access_expires: self.access_expires,
            refresh_token: self.refresh.as_ref().map(text).map(Text::new),
            refresh_expires: self.refresh_expires,
            refresh_end_is_fixed: self.refresh_end_is_fixed,
            renewed: self.renewed,
            signed_in: self.signed_in,
            ended: self.ended.clone(),
        };
        // Enough capacity for all of it: growing would leave copies behind that are not wiped.
        let mut json = Zeroizing::new(Vec::with_capacity(MOST));
        serde_json::to_writer_pretty(&mut *json, &kept)?;
        json.push(b'\n');
        Ok(json)
    }

    /// Parses the contents of the file.
    ///
    /// # Errors
    /// [`BadTokens`]. A file of a later version may need what is not known here.
    pub(super) fn from_json(json: &[u8]) -> Result<Self, BadTokens> {
        let Versioned { version } = serde_json::from_slice(json)?;
        if version > VERSION {
            return Err(BadTokens::Newer);
        }
        let kept: TokenFile = serde_json::from_slice(json)?;
        let secret = |text: &Text| Secret::new(text.0.as_bytes().to_vec());
        Ok(Self {
            username: kept.username,
            client_id: kept.client_id,
            registered_secret: kept.registered_secret.as_ref().map(secret),
            token_endpoint: kept.token_endpoint,
            basic_auth: kept.basic_auth,
            scope: kept.scope,
            access: secret(&kept.access_token),
            access_expires: kept.access_expires,
            refresh: kept.refresh_token.as_ref().map(secret),
            refresh_expires: kept.refresh_expires,
            refresh_end_is_fixed: kept.refresh_end_is_fixed,
            renewed: kept.renewed,
            signed_in: kept.signed_in,
            ended: kept.ended,
        })
    }
}

/// Why the contents of a file cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BadTokens {
    /// A newer version wrote it.
    Newer,
    /// It is damaged. The parser's own words could quote the file.
    Damaged {
        /// The line, counted from 1; 0 for an empty file.
        line: usize,
    },
}

impl From<serde_json::Error> for BadTokens {
    fn from(e: serde_json::Error) -> Self {
        Self::Damaged { line: e.line() }
    }
}

/// The largest file, in bytes.
pub(super) const MOST: usize = 256 * 1024;

/// A string that is wiped when dropped.
struct Text(Zeroizing<String>);

impl Text {
    fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

/// What files of all versions have.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

/// The file `ACCOUNT.token`.
#[derive(Serialize, Deserialize)]
struct TokenFile {
    version: u32,
    username: String,
    client_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    registered_secret: Option<Text>,
    token_endpoint: String,
    #[serde(default)]
    basic_auth: bool,
    #[serde(default)]
    scope: Option<String>,
    access_token: Text,
    #[serde(default)]
    access_expires: Option<i64>,
    #[serde(default)]
    refresh_token: Option<Text>,
    #[serde(default)]
    refresh_expires: Option<i64>,
    #[serde(default)]
    refresh_end_is_fixed: bool,
    renewed: i64,
    signed_in: i64,
    #[serde(default)]
    ended: Option<String>,
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::oauth) fn tokens() -> Tokens {
        Tokens {
            username: "jo@example.org".into(),
            client_id: "client".into(),
            registered_secret: None,
            token_endpoint: "https://login.example.org/token".into(),
            basic_auth: false,
            scope: Some("mail".into()),
            access: Secret::new(b"access-1".to_vec()),
            access_expires: Some(4600),
            refresh: Some(Secret::new(b"refresh-1".to_vec())),
            refresh_expires: None,
            refresh_end_is_fixed: false,
            renewed: 1000,
            signed_in: 1000,
            ended: None,
        }
    }

    #[test]
    fn an_access_token_is_replaced_ahead_of_its_end() {
        let tokens = tokens();
        for (now, jitter, expected) in [
            (1000, 0, Judgement::Good),
            (4299, 0, Judgement::Good),
            (4300, 0, Judgement::Refresh),
            (4250, 60, Judgement::Refresh),
            (9999, 0, Judgement::Refresh),
            // The clock went back, so nothing is known of the expiry.
            (999, 0, Judgement::Refresh),
        ] {
            assert_eq!(tokens.judge(now, jitter, None), expected, "{now} {jitter}");
        }
        let short = Tokens { access_expires: Some(1060), ..tokens };
        assert_eq!(short.judge(1029, 0, None), Judgement::Good, "half of a short life is used");
        assert_eq!(short.judge(1030, 0, None), Judgement::Refresh);
    }

    #[test]
    fn a_token_that_was_refused_is_replaced_however_good_it_looks() {
        let tokens = tokens();
        assert_eq!(tokens.judge(1000, 0, Some(&tokens.access)), Judgement::Refresh);
        assert_eq!(tokens.judge(1000, 0, Some(&Secret::new(b"access-0".to_vec()))), Judgement::Good);
        let alone = Tokens { refresh: None, ..tokens };
        assert_eq!(alone.judge(4500, 0, None), Judgement::Good, "to its very end");
        assert_eq!(alone.judge(4600, 0, None), Judgement::NothingLeft);
        assert_eq!(alone.judge(1000, 0, Some(&alone.access)), Judgement::NothingLeft);
        let ended = Tokens { ended: Some("revoked".into()), ..alone };
        assert_eq!(ended.judge(1000, 0, None), Judgement::Ended);
    }

    #[test]
    fn the_last_quarter_of_a_sign_in_is_told_only_where_no_use_puts_off_its_end() {
        const DAY: i64 = 86_400;
        let week = Tokens { signed_in: 0, refresh_expires: Some(8 * DAY), refresh_end_is_fixed: true, ..tokens() };
        for (now, expected) in
            [(5 * DAY, None), (6 * DAY - 1, None), (6 * DAY, Some(2)), (8 * DAY - 1, Some(0)), (8 * DAY, None)]
        {
            assert_eq!(week.times().last_days(now), expected, "{now}");
        }
        assert_eq!(Tokens { refresh_end_is_fixed: false, ..week.clone() }.times().last_days(7 * DAY), None);
        assert_eq!(Tokens { refresh_expires: None, ..week }.times().last_days(7 * DAY), None);
    }

    #[test]
    fn a_file_of_a_later_version_is_not_taken_for_ours() {
        let json = String::from_utf8(tokens().to_json().unwrap().to_vec()).unwrap();
        let later = json.replacen("\"version\": 1,", "\"version\": 2,", 1);
        assert_ne!(later, json);
        for later in [later.as_str(), r#"{"tokens": ["sesame"], "version": 2}"#] {
            assert_eq!(Tokens::from_json(later.as_bytes()), Err(BadTokens::Newer), "{later}");
        }
    }

    #[test]
    fn what_is_kept_is_read_again_and_shows_in_no_message() {
        let tokens = Tokens { registered_secret: Some(Secret::new(b"hush".to_vec())), ..tokens() };
        let json = tokens.to_json().unwrap();
        assert_eq!(Tokens::from_json(&json).unwrap(), tokens);
        for damaged in [&b"{}"[..], b"", br#"{"version": 1}"#, br#"{"version": -1}"#] {
            assert!(matches!(Tokens::from_json(damaged), Err(BadTokens::Damaged { .. })), "{damaged:?}");
        }
        let shown = format!("{tokens:?}");
        assert!(!shown.contains("access-1") && !shown.contains("refresh-1") && !shown.contains("hush"), "{shown}");
    }
}
