//! What the system says of this process. Nothing where it has no /proc.

use std::path::Path;

/// This process at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Resident bytes.
    pub resident: Option<u64>,
    /// Seconds of processor time, of programs and of the kernel for it.
    pub cpu: Option<f64>,
    /// Open file descriptors, and as many as may be.
    pub descriptors: Option<(u64, u64)>,
    /// Threads.
    pub threads: Option<u64>,
}

impl Usage {
    /// Looks.
    #[must_use]
    pub fn now() -> Self {
        let read = |name: &str| std::fs::read_to_string(format!("/proc/self/{name}")).ok();
        let pages = read("statm").and_then(|s| s.split_whitespace().nth(1)?.parse::<u64>().ok());
        let stat = read("stat").unwrap_or_default();
        // The name in the second field may hold spaces: fields are counted from its end. Ticks are hundredths.
        let field = |n: usize| stat.rsplit_once(')')?.1.split_whitespace().nth(n)?.parse::<u64>().ok();
        let ticks = || field(11)?.checked_add(field(12)?);
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let open = std::fs::read_dir("/proc/self/fd").ok().map(|dir| dir.count() as u64);
        Self {
            resident: pages.and_then(|p| p.checked_mul(4096)),
            cpu: ticks().map(|t| t as f64 / 100.0),
            descriptors: open.map(|open| (open, limit.unwrap_or(u64::MAX))),
            threads: field(17),
        }
    }
}

/// Free bytes of the disk that a path is on, and all of them.
#[must_use]
pub fn disk(path: &Path) -> Option<(u64, u64)> {
    let found = rustix::fs::statvfs(path).ok()?;
    Some((found.f_bavail.saturating_mul(found.f_frsize), found.f_blocks.saturating_mul(found.f_frsize)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_seen() {
        let now = Usage::now();
        assert!(now.resident.unwrap() > 1 << 20);
        assert!(now.cpu.unwrap() >= 0.0 && now.threads.unwrap() >= 1);
        let (open, most) = now.descriptors.unwrap();
        assert!(open >= 3 && open <= most);
        let (free, all) = disk(Path::new("/")).unwrap();
        assert!(free <= all && all > 0);
        assert_eq!(disk(Path::new("/no such place")), None);
    }
}
