//! APOP (RFC 1939, section 7).

use md5::{Digest, Md5};

use crate::secret::Secret;

/// Returns the digest for APOP: MD5 of the timestamp, including its brackets, and the secret, in lower-case hexadecimal
/// (RFC 1939, section 7).
#[must_use]
pub fn apop_digest(timestamp: &str, secret: &Secret) -> String {
    let digest = Md5::new().chain_update(timestamp).chain_update(secret.expose()).finalize();
    super::hex(&digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(text.as_bytes().to_vec())
    }

    #[test]
    fn makes_the_digest_of_rfc_1939() {
        let digest = apop_digest("<1896.697170952@dbc.mtview.ca.us>", &secret("tanstaaf"));
        assert_eq!(digest, "c4c9334bac560ecc979e58001b3e22fb");
    }

    #[test]
    fn makes_the_digest_that_curl_expects() {
        assert_eq!(apop_digest("<1972.987654321@curl>", &secret("secret")), "7501b4cdc224d469940e65e7b5e4d6eb");
    }
}
