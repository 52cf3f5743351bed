//! Tencent Cloud as configured: its chat and live services as providers of rooms, their callbacks, the check of their settings,
//! and the import of a first server's `config.js`.

pub mod clouds;
pub mod im;
pub mod import;
pub mod live;
mod settings;
mod told;
