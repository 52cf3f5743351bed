//! Rooms and the chat hub together, as the program puts them together.

#![allow(clippy::unwrap_used)]

mod clock;
mod nodes;
