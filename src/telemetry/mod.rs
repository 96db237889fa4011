//! Logging: `tracing` to standard error, for people or as JSON.

use std::fmt;
use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Environment variable whose filter goes before the configured one.
pub const FILTER_VARIABLE: &str = "STIRRUP_LOG";

/// Shape of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One line for people; in colour on a terminal.
    Human,
    /// One JSON object a line.
    Json,
}

/// Why logging could not be set up: one line for a person.
#[derive(Debug, PartialEq, Eq)]
pub struct TelemetryError(String);

impl fmt::Display for TelemetryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TelemetryError {}

/// Sets up logging for the whole process; `filter` holds unless `STIRRUP_LOG` is set.
///
/// # Errors
/// When a filter cannot be parsed, or logging is set up already.
pub fn init(format: Format, filter: &str) -> Result<(), TelemetryError> {
    let from_environment = std::env::var(FILTER_VARIABLE).ok();
    let filter = choose_filter(from_environment.as_deref(), filter)?;
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let registry = tracing_subscriber::registry().with(filter);
    let result = match format {
        Format::Human => registry.with(lines.with_ansi(colour())).try_init(),
        Format::Json => registry.with(lines.json().flatten_event(true)).try_init(),
    };
    result.map_err(|e| TelemetryError(format!("cannot set up logging: {e}")))
}

fn choose_filter(environment: Option<&str>, configured: &str) -> Result<EnvFilter, TelemetryError> {
    let (text, origin) = match environment {
        Some(text) if !text.is_empty() => (text, FILTER_VARIABLE),
        _ => (configured, "the log level"),
    };
    EnvFilter::try_new(text)
        .map_err(|e| TelemetryError(format!("{origin}: `{text}` is not a log filter: {e}")))
}

/// Colour only on a terminal, and not if <https://no-color.org> says no.
fn colour() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_goes_first() {
        let chosen = |env, text| choose_filter(env, text).map(|filter| filter.to_string());
        assert_eq!(chosen(None, "warn"), Ok("warn".into()));
        assert_eq!(chosen(Some(""), "warn"), Ok("warn".into()));
        assert_eq!(chosen(Some("stirrup=trace"), "warn"), Ok("stirrup=trace".into()));
        let error = chosen(Some("a=b=c"), "warn").unwrap_err().to_string();
        assert!(error.contains("STIRRUP_LOG"), "{error}");
    }
}
