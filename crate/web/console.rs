//! The browser's console as a logger.

use crate::device::DeviceLog;

/// Logger for warnings and errors; the device's errors also fail the next read.
static LOGGER: DeviceLog<Console> = DeviceLog(Console);

struct Console;

impl log::Log for Console {
    fn enabled(&self, metadata: &log::Metadata) -> bool {
        metadata.level() <= log::Level::Warn
    }

    fn log(&self, record: &log::Record) {
        let text = format!("{}: {}", record.target(), record.args()).into();
        match record.level() {
            log::Level::Error => web_sys::console::error_1(&text),
            _ => web_sys::console::warn_1(&text),
        }
    }

    fn flush(&self) {}
}

/// Installs the logger and the hook that reports panics.
pub(super) fn install() {
    console_error_panic_hook::set_once();
    let _ = log::set_logger(&LOGGER);
    log::set_max_level(log::LevelFilter::Warn);
}
