//! Browsers for the tests.

use std::env;
use std::path::{Path, PathBuf};

use super::apt_install;
use crate::Result;
use crate::command::find;

/// A browser that the tests drive.
struct Browser {
    name: &'static str,
    /// Environment variable that names its program.
    variable: &'static str,
    /// Names of the program, the best first.
    programs: &'static [&'static str],
    /// Programs below `/Applications`.
    apps: &'static [&'static str],
    /// Debian's packages.
    packages: &'static [&'static str],
    /// The browser to install elsewhere.
    elsewhere: &'static str,
}

const CHROMIUM: Browser = Browser {
    name: "Chromium",
    variable: "CHROMIUM",
    programs: &[
        "chromium",
        "chromium-browser",
        "google-chrome-stable",
        "google-chrome",
    ],
    apps: &[
        "Chromium.app/Contents/MacOS/Chromium",
        "Google Chrome.app/Contents/MacOS/Google Chrome",
    ],
    packages: &["chromium", "fonts-dejavu-core"],
    elsewhere: "Chromium or Chrome",
};

const FIREFOX: Browser = Browser {
    name: "Firefox",
    variable: "FIREFOX",
    programs: &["firefox-esr", "firefox"],
    apps: &["Firefox.app/Contents/MacOS/firefox"],
    packages: &["firefox-esr"],
    elsewhere: "Firefox 140 or newer",
};

/// Chromium: `$CHROMIUM`, or an installed one.
pub fn chromium() -> Result<PathBuf> {
    CHROMIUM.ready()
}

/// Firefox: `$FIREFOX`, or an installed one.
pub fn firefox() -> Result<PathBuf> {
    FIREFOX.ready()
}

impl Browser {
    /// Finds the browser, or installs it where that needs no permission.
    fn ready(&self) -> Result<PathBuf> {
        if let Some(path) = env::var_os(self.variable).map(PathBuf::from) {
            return if path.is_file() {
                Ok(path)
            } else {
                let (variable, path) = (self.variable, path.display());
                Err(format!("{variable} is {path}: no such file"))
            };
        }
        if let Some(path) = self.installed() {
            return Ok(path);
        }
        println!("The browser tests need {}. Installing it:", self.name);
        let tried = apt_install(self.packages);
        self.installed().ok_or_else(|| self.missing(tried.err()))
    }

    fn installed(&self) -> Option<PathBuf> {
        let apps = self.apps.iter();
        find(self.programs).or_else(|| {
            apps.map(|app| Path::new("/Applications").join(app))
                .find(|path| path.is_file())
        })
    }

    /// The error with the commands that install the browser.
    fn missing(&self, tried: Option<String>) -> String {
        let Self {
            name,
            variable,
            elsewhere,
            ..
        } = self;
        format!(
            "no {name} for the browser tests. On Debian:\n    sudo apt-get install {}\n\
             elsewhere install {elsewhere}, and set {variable} to its program if it is not on the \
             PATH.{}",
            self.packages.join(" "),
            tried.map_or(String::new(), |error| format!("\n  {error}"))
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_browser_is_explained_with_the_commands_that_install_it() {
        let text = FIREFOX.missing(Some("no network".into()));
        for part in [
            "no Firefox for the browser tests",
            "sudo apt-get install firefox-esr\n",
            "set FIREFOX to its program",
            "\n  no network",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(
            CHROMIUM
                .missing(None)
                .contains("install Chromium or Chrome")
        );
    }
}
