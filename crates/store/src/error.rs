//! Why an operation did not happen. Text for the client never holds the cause; the log does.

use room::Refusal;

/// The ways to fail. Only [`Error::Unknown`] leaves open whether the change was made; after every other it was not.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The rules say no; asking again changes nothing.
    #[error("refused: {0:?}")]
    Refused(Refusal),
    /// The chat service did not make the room's group in time.
    #[error("the chat group could not be made: {0}")]
    NoGroup(String),
    /// A neighbour that is needed is away; asking again later may help.
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// What became of a change is not known: it was handed on, and no answer came. It may be made, now or later.
    #[error("not known whether it was done: {0}")]
    Unknown(String),
    /// The server is about to end and begins nothing new; after its restart, or elsewhere, it will work.
    #[error("the server is about to end")]
    Leaving,
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}
