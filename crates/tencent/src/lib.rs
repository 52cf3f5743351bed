//! Tencent Cloud as configured: its callbacks, the check of its settings, and the import of a first server's `config.js`.

pub mod clouds;
pub mod import;
