//! The first settings of an installation that has none: production mode with fresh keys. Packages write them when they are
//! installed, a container at its first start.

use std::io;
use std::path::{Path, PathBuf};

use edge::write_private;
use sign::usersig::v1;

/// Where packages and mounts have the settings.
const INSTALLED: &str = "/etc/roomservice/roomservice.toml";
const HEAD: &str = "\
# Made by roomservice for its first start. Who has these keys can be any user: keep them to yourself.
mode = \"production\"
# A proxy in front does TLS (docs/recipes/nginx.md); or remove this line and set [tls].
http.tls_by_proxy = true
# The number that your clients log in with.
im.sdkAppID = 1400000000
";

/// The file to read where nothing but a place for the first settings is named: the installed one if there is one, else that
/// place, which is written if it is empty. The second value says whether it was written now.
///
/// # Errors
/// The place cannot be written.
pub fn find_or_write(place: &Path) -> io::Result<(PathBuf, bool)> {
    if Path::new(INSTALLED).try_exists()? {
        return Ok((INSTALLED.into(), false));
    }
    write(place, None).map(|written| (place.to_owned(), written))
}

/// Writes the first settings, for their owner only, unless a file is there. Returns whether it wrote. They name the directory of
/// data where one is given: then whoever reads the file finds it, wherever it was started.
///
/// # Errors
/// The file cannot be written.
pub fn write(file: &Path, data_dir: Option<&Path>) -> io::Result<bool> {
    let file = std::path::absolute(file)?;
    if file.try_exists()? {
        return Ok(false);
    }
    if let Some(directory) = file.parent() {
        std::fs::create_dir_all(directory)?;
    }
    let data_dir = data_dir.map(|at| toml::Value::String(at.display().to_string()));
    let data_dir = data_dir.map(|at| format!("data_dir = {at}\n")).unwrap_or_default();
    write_private(&file, format!("{HEAD}{data_dir}{}", fresh_keys()).as_bytes())?;
    Ok(true)
}

/// Fresh keys, as settings of a file.
#[must_use]
pub fn fresh_keys() -> String {
    let pair = v1::PrivateKey::generate_p256();
    let secret = || sign::generate_secret().expose().to_owned();
    format!(
        "# Other settings of these sections are written in this way too, such as live.validTime = 3600, and not below [live].\n\
         # Version 2 user signatures, push URLs, session tokens, an operator's key:\n\
         im.secretKey = \"{}\"\n\
         live.pushSecretKey = \"{}\"\n\
         sessions.secret = \"{}\"\n\
         operator.keys = [\"{}\"]\n\
         # Version 1 user signatures, only for apps that sign them:\n\
         im.privateKey = \"\"\"\n{}\"\"\"\n\
         im.publicKey = \"\"\"\n{}\"\"\"\n",
        secret(),
        secret(),
        secret(),
        secret(),
        pair.private_pem.expose(),
        pair.public_pem
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;

    #[test]
    fn first_settings_fit_are_private_and_stay() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("data/roomservice.toml");
        assert!(write(&file, None).unwrap());
        let settings = Settings::load(Some(&file), []).unwrap();
        assert_eq!(settings.problems(), Vec::<String>::new());
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(settings.data_dir, Path::new("./data"));
        let named = dir.path().join("named.toml");
        assert!(write(&named, Some(Path::new("/var/lib/a \"b\""))).unwrap());
        assert_eq!(Settings::load(Some(&named), []).unwrap().data_dir, Path::new("/var/lib/a \"b\""));
        let text = std::fs::read(&file).unwrap();
        let with = |more: &str| {
            let longer = dir.path().join("longer.toml");
            std::fs::write(&longer, format!("{}{more}", fresh_keys())).unwrap();
            Settings::load(Some(&longer), []).map(|settings| settings.live.valid_time).map_err(|e| e.to_string())
        };
        assert_eq!(with("live.validTime = 3600\n"), Ok(3600));
        let why = with("[live]\nvalidTime = 3600\n").unwrap_err();
        assert!(why.contains("write live.y = … there, and no [live]"), "{why}");
        assert!(!write(&file, None).unwrap(), "a file that is there is left alone");
        assert_eq!(std::fs::read(&file).unwrap(), text);
    }
}
