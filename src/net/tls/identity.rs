//! The client certificate and its key.

use std::fs::{File, Metadata};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::expiry;
use super::reading::Reading;
use crate::account::ClientCertificate;
use crate::net::{ClientCertificateProblem, NetError};

/// A larger file is not a certificate or a key.
const LARGEST: u64 = 1 << 20;

/// What this client shows of itself.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) key: Arc<CertifiedKey>,
    /// When the certificate expires, in seconds since 1970, if that can be read.
    pub(super) expires: Option<i64>,
    /// The metadata of the files when they were read.
    pub(super) files: [Metadata; 2],
}

impl Identity {
    pub(super) fn load(
        files: &ClientCertificate,
        provider: &CryptoProvider,
        reading: &Reading,
    ) -> Result<Self, NetError> {
        use ClientCertificateProblem::{Mismatch, NoCertificate, NoKey, Unusable};
        let of = |path: &Path, why| NetError::ClientCertificate { path: path.to_owned(), why };
        let of_certificate = |why| of(&files.certificate, why);
        let of_key = |why| of(&files.key, why);
        let (pem, certificate_file) =
            reading.of(&files.certificate, || read(&files.certificate, false)).map_err(of_certificate)?;
        let chain = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
        let chain = chain.map_err(|error| of_certificate(Unusable(error.to_string())))?;
        let expires = chain.first().map(|first| expiry::of_certificate(first)).ok_or(of_certificate(NoCertificate))?;
        let (pem, key_file) = reading.of(&files.key, || read(&files.key, true)).map_err(of_key)?;
        let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|_| of_key(NoKey))?;
        let unusable = |error: rustls::Error| of_key(Unusable(error.to_string()));
        let key = CertifiedKey::new(chain, provider.key_provider.load_private_key(key).map_err(unusable)?);
        match key.keys_match() {
            Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::KeyMismatch)) => Err(of_key(Mismatch)),
            Err(error) if !matches!(error, rustls::Error::InconsistentKeys(_)) => Err(unusable(error)),
            _ => Ok(Self { key: Arc::new(key), expires, files: [certificate_file, key_file] }),
        }
    }
}

/// Reads a file. A secret one must not be readable by everybody.
fn read(path: &Path, secret: bool) -> Result<(Vec<u8>, Metadata), ClientCertificateProblem> {
    use ClientCertificateProblem::{Exposed, NotAFile, Read, TooLarge};
    // Opening a named pipe would block until it has a writer.
    if !std::fs::metadata(path).map_err(Read)?.is_file() {
        return Err(NotAFile);
    }
    let file = File::open(path).map_err(Read)?;
    let metadata = file.metadata().map_err(Read)?;
    if secret && metadata.mode() & 0o007 != 0 {
        return Err(Exposed { mode: metadata.mode() & 0o7777 });
    }
    let mut contents = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut contents).map_err(Read)?;
    if u64::try_from(contents.len()).unwrap_or(u64::MAX) > LARGEST { Err(TooLarge) } else { Ok((contents, metadata)) }
}
