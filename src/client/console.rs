//! Where a command reads and writes: the process's own streams, or a test's.

use std::io::{self, BufRead, IsTerminal, Write};

use super::error::ClientError;

/// The streams of a command, and what is at their other ends.
pub(super) struct Console<'a> {
    /// Answers.
    pub(super) out: Box<dyn Write + 'a>,
    /// Notes, questions and plain progress lines.
    pub(super) notes: Box<dyn Write + 'a>,
    /// Where answers to questions come from; `None`: there is nobody to ask.
    pub(super) answers: Option<Box<dyn BufRead + 'a>>,
    /// `out` is a terminal that shows colour.
    pub(super) colour: bool,
    /// Standard error is a terminal, so a progress bar may be drawn on it.
    pub(super) bar: bool,
}

impl Console<'_> {
    /// The streams of the process.
    pub(super) fn of_process() -> Self {
        let terminal = io::stdout().is_terminal();
        let interactive = io::stdin().is_terminal() && io::stderr().is_terminal();
        Self {
            out: Box::new(io::stdout()),
            notes: Box::new(io::stderr()),
            answers: interactive.then(|| Box::new(io::stdin().lock()) as Box<dyn BufRead>),
            colour: terminal && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()),
            bar: io::stderr().is_terminal(),
        }
    }

    /// Writes an answer of the API as it came, on lines of its own.
    pub(super) fn verbatim(&mut self, body: &[u8]) -> Result<(), ClientError> {
        self.out.write_all(body)?;
        if !body.ends_with(b"\n") {
            self.out.write_all(b"\n")?;
        }
        Ok(())
    }

    /// Writes a note for people.
    pub(super) fn note(&mut self, text: &str) -> Result<(), ClientError> {
        writeln!(self.notes, "{}", super::output::plain(text)).map_err(ClientError::Output)
    }

    /// Asks whether to go on, if there is somebody to ask.
    pub(super) fn confirm(&mut self, question: &str) -> Result<(), ClientError> {
        let Some(answers) = &mut self.answers else { return Ok(()) };
        write!(self.notes, "{} [y/N] ", super::output::plain(question))?;
        self.notes.flush()?;
        let mut line = String::new();
        answers.read_line(&mut line)?;
        match line.trim().to_ascii_lowercase().as_str() {
            "y" | "yes" => Ok(()),
            _ => Err(ClientError::NotConfirmed),
        }
    }
}
