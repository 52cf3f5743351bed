//! What one node of an installation asks of another: signed with a key that only nodes have.

use room::Millis;
use sign::stream_url::Query;
use sign::{Invalid, push_url};

use super::Urls;

impl Urls {
    /// The query with which one node pulls a stream from another, for a minute.
    #[must_use]
    pub fn pull_query(&self, stream: &str, now: Millis) -> String {
        push_url::sign(self.algorithm, &self.node, stream, now.secs().saturating_add(60))
    }

    /// Whether this query is a node's.
    ///
    /// # Errors
    /// Why not.
    pub fn may_pull(&self, stream: &str, query: &str, now: Millis) -> Result<u64, Invalid> {
        push_url::verify(stream, &Query::parse(query)?, &[&self.node], now.secs())
    }
}
