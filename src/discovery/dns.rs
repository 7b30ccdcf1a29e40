//! DNS queries for records that the system's host lookup does not provide. No other module uses hickory.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{RData, RecordType};

use super::srv::SrvRecord;

/// How long to wait for one server, and how often to query it.
const TIMEOUT: (Duration, usize) = (Duration::from_secs(3), 2);

/// How many records of an answer are used.
const MOST: usize = 32;

/// Why there is no answer.
#[derive(Debug)]
pub(crate) struct DnsError(String);

impl fmt::Display for DnsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for DnsError {}

/// A resolver.
pub(crate) struct Dns(TokioResolver);

impl fmt::Debug for Dns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dns").finish_non_exhaustive()
    }
}

impl Dns {
    /// Creates a resolver that queries this server, or else the system's.
    ///
    /// # Errors
    /// If the system's configuration cannot be read.
    pub(crate) fn new(server: Option<SocketAddr>) -> Result<Self, DnsError> {
        let failed = |e: NetError| DnsError(format!("DNS cannot be asked: {e}"));
        let mut builder = match server {
            Some(server) => TokioResolver::builder_with_config(only(server), TokioRuntimeProvider::default()),
            None => TokioResolver::builder_tokio().map_err(failed)?,
        };
        let options = builder.options_mut();
        (options.timeout, options.attempts) = TIMEOUT;
        options.use_hosts_file = ResolveHosts::Never;
        builder.build().map(Self).map_err(failed)
    }

    /// Returns the SRV records; empty if there are none.
    ///
    /// # Errors
    /// [`DnsError`] if it is not known whether there are any.
    pub(crate) async fn srv(&self, name: &str) -> Result<Vec<SrvRecord>, DnsError> {
        self.records(name, RecordType::SRV, |data| match data {
            RData::SRV(srv) => Some(SrvRecord {
                priority: srv.priority,
                weight: srv.weight,
                port: srv.port,
                target: srv.target.to_ascii(),
            }),
            _ => None,
        })
        .await
    }

    /// Returns the TXT records, each with its strings joined; empty if there are none.
    ///
    /// # Errors
    /// [`DnsError`] if it is not known whether there are any.
    pub(crate) async fn txt(&self, name: &str) -> Result<Vec<Vec<u8>>, DnsError> {
        self.records(name, RecordType::TXT, |data| match data {
            RData::TXT(txt) => Some(txt.txt_data.concat()),
            _ => None,
        })
        .await
    }

    async fn records<T>(
        &self,
        name: &str,
        kind: RecordType,
        read: impl Fn(&RData) -> Option<T>,
    ) -> Result<Vec<T>, DnsError> {
        match self.0.lookup(name, kind).await {
            Ok(found) => Ok(found.answers().iter().take(MOST).filter_map(|record| read(&record.data)).collect()),
            Err(e) if e.is_no_records_found() || e.is_nx_domain() => Ok(Vec::new()),
            Err(e) => {
                tracing::debug!("DNS: {name} {kind}: {e}");
                Err(DnsError(format!("DNS does not answer for {name}")))
            }
        }
    }
}

/// Returns a configuration with this server alone.
fn only(server: SocketAddr) -> ResolverConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = server.port();
        connection
    });
    let server = NameServerConfig::new(server.ip(), true, connections.into());
    ResolverConfig::from_parts(None, Vec::new(), vec![server])
}
