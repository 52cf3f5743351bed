//! The room protocol, `/weapp/`. One file a call, or a few that belong together; `name.rs` has the table of calls, `run.rs` leads
//! from there to the file, `reply.rs` alone knows the codes of the answers.

mod audience;
mod body;
mod call;
mod custom;
mod door;
mod language;
mod login;
mod mix;
mod name;
mod pushers;
mod records;
mod reply;
mod request_id;
mod respond;
mod rooms;
mod run;
mod serve;
mod urls;
mod utils;
mod view;
mod webrtc_room;

pub use call::Secure;
pub use door::{Choices, Weapp};
#[cfg(test)]
pub use name::paths;
pub use name::{LABELS, find};
pub use reply::{Fail, Reply, codes};
pub use respond::{Whole, respond};
pub use serve::{answer, routes};
pub use view::CustomView;
