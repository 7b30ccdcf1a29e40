//! Certificates and the TLS handshake.

use std::borrow::Cow;

use super::Step;
use super::system;
use crate::net::{CaFileProblem, CertificateProblem, ClientCertificateProblem, HandshakeProblem};

pub(super) fn certificate(host: &str, problem: &CertificateProblem) -> Cow<'static, str> {
    let step = match problem {
        CertificateProblem::Expired { .. } => "Ask the server's operator to renew it, and check this machine's clock",
        CertificateProblem::NotYetValid { .. } => "Check this machine's clock, then ask the server's operator",
        CertificateProblem::WrongName { presented } if presented.is_empty() => {
            return format!("Ask the server's operator for one that names {host}").into();
        }
        CertificateProblem::WrongName { .. } => {
            "Set host to a name it is for, or tls_server_name where that is set, if you trust that name; or ask the server's \
             operator"
        }
        CertificateProblem::UnknownIssuer => {
            "If its authority is a private one, name the authority's PEM file by tls_ca_file, or where that is set, see that \
             the file holds this authority; otherwise ask the server's operator whether it sends its intermediate certificates"
        }
        CertificateProblem::SelfSigned => {
            "If the server is yours, copy its certificate from there and name the file by tls_ca_file"
        }
        CertificateProblem::WrongKey { .. } => {
            "If its operator has made a new key, put this one into tls_pin; otherwise ask who is in between"
        }
        CertificateProblem::Revoked => "Ask the server's operator",
        CertificateProblem::Other(_) => "Ask the server's operator for a right one",
    };
    step.into()
}

pub(super) fn handshake(problem: &HandshakeProblem) -> &'static str {
    match problem {
        HandshakeProblem::OldVersions => "Ask the server's operator to switch TLS 1.2 or 1.3 on",
        HandshakeProblem::NothingInCommon => "Ask the server's operator to update its TLS settings",
        HandshakeProblem::NameRefused => "Set host to the name its operator gives",
        HandshakeProblem::ClientCertificateWanted => "Ask its operator for a host or port where a password is enough",
        HandshakeProblem::ClientCertificateRefused => "Check tls_client_cert, and ask its operator which one it wants",
        HandshakeProblem::Other(_) | HandshakeProblem::NotUnderstood(_) => {
            "Try again later, then tell the server's operator"
        }
    }
}

/// About the file that `tls_ca_file` names.
pub(super) fn ca_file(problem: &CaFileProblem) -> &'static str {
    match problem {
        CaFileProblem::Read(source) => {
            system::step(source).unwrap_or("Check the path in tls_ca_file and its permissions")
        }
        CaFileProblem::NotAFile | CaFileProblem::TooLarge(_) => "Name a file of PEM certificates by tls_ca_file",
        CaFileProblem::TooSlow(_) => "Check the disk it is on",
        CaFileProblem::NoCertificate => {
            "It should have lines that say BEGIN CERTIFICATE: name such a file by tls_ca_file"
        }
        CaFileProblem::Damaged { .. } => "Copy it again",
    }
}

/// About the files that `tls_client_cert` and `tls_client_key` name.
pub(super) fn client_certificate(problem: &ClientCertificateProblem) -> Step {
    let step = match problem {
        ClientCertificateProblem::Read(source) => {
            system::step(source).unwrap_or("Check the path in tls_client_cert or tls_client_key and its permissions")
        }
        ClientCertificateProblem::NotAFile
        | ClientCertificateProblem::TooLarge
        | ClientCertificateProblem::Unusable(_) => "Name files in PEM form by tls_client_cert and tls_client_key",
        ClientCertificateProblem::NoCertificate => "Name a file that has a certificate by tls_client_cert",
        ClientCertificateProblem::NoKey => "Name a file that has the key, without a passphrase, by tls_client_key",
        ClientCertificateProblem::Exposed { .. } => "Let nobody but its owner read it (mode 0600)",
        ClientCertificateProblem::Mismatch => "Name the key of this very certificate by tls_client_key",
    };
    Some(step.into())
}
