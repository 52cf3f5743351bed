//! The RoomService server.

fn main() {}
