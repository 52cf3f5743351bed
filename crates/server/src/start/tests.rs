//! Whole servers in this process.

mod relay;
