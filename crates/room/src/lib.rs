//! Rules of rooms and chat: pure functions on values, with the time passed in.
