//! The way to one server: a socket, or what a simulated network has in its place. Knows neither Sentinels nor clusters.

use std::time::Duration;

use redis::aio::{MultiplexedConnection, PubSub};
use redis::{AsyncConnectionConfig, Client, RedisError};

#[cfg(feature = "simulation")]
use super::sentinel::Address;

/// A simulated network.
#[cfg(feature = "simulation")]
pub trait Network: Send + Sync + 'static {
    /// Connects to this server.
    fn dial(&self, server: &Address) -> Dialled;
}

/// What comes of that.
#[cfg(feature = "simulation")]
pub type Dialled = std::pin::Pin<Box<dyn Future<Output = std::io::Result<tokio::io::DuplexStream>> + Send>>;

/// The way to a server.
#[derive(Clone)]
#[allow(clippy::large_enum_variant, reason = "there are a handful in a process")]
pub enum Way {
    /// A socket.
    Socket(Client),
    /// A simulated network.
    #[cfg(feature = "simulation")]
    Simulated(std::sync::Arc<dyn Network>, Address),
}

impl Way {
    /// Connects, for as many uses at a time as there are.
    ///
    /// # Errors
    /// The server cannot be reached within this time, or does not let this process in.
    pub async fn connect(&self, within: Duration) -> Result<MultiplexedConnection, RedisError> {
        // Uses bound themselves; one that blocks for long has a connection of its own.
        let config = AsyncConnectionConfig::new().set_connection_timeout(Some(within)).set_response_timeout(None);
        match self {
            Self::Socket(client) => client.get_multiplexed_async_connection_with_config(&config).await,
            #[cfg(feature = "simulation")]
            Self::Simulated(network, server) => {
                let info = redis::RedisConnectionInfo::default();
                let connect = async {
                    let stream = network.dial(server).await?;
                    MultiplexedConnection::new_with_config(&info, stream, config).await
                };
                let late = |_| std::io::Error::from(std::io::ErrorKind::TimedOut);
                let (connection, driver) = tokio::time::timeout(within, connect).await.map_err(late)??;
                tokio::spawn(driver);
                Ok(connection)
            }
        }
    }

    /// Connects to hear what the server says by itself.
    ///
    /// # Errors
    /// As [`Way::connect`].
    pub async fn listen(&self) -> Result<PubSub, RedisError> {
        match self {
            Self::Socket(client) => client.get_async_pubsub().await,
            #[cfg(feature = "simulation")]
            Self::Simulated(network, server) => {
                PubSub::new(&redis::RedisConnectionInfo::default(), network.dial(server).await?).await
            }
        }
    }
}
