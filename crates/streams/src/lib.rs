//! The service's view of media: who may publish and play, the live provider with its URLs, and which node has a stream.

pub mod gate;
pub mod live;
pub mod nodes;
pub mod recorded;
