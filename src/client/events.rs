//! `stirrup events`: what has happened, and what happens.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::time::Duration;

use crate::control::api::events::Event;

use super::api::Api;
use super::args::EventsArgs;
use super::console::Console;
use super::error::ClientError;
use super::http::{path, with_query};
use super::output;

/// Time before a stream that ended is opened again.
const PAUSE: Duration = Duration::from_secs(1);
/// No event is larger.
const EVENT_BYTES_MAX: usize = 1 << 20;

/// Shows events: those that are kept, and with `--follow` all that come.
pub(super) async fn run(
    api: &Api,
    json: bool,
    args: &EventsArgs,
    console: &mut Console<'_>,
) -> Result<(), ClientError> {
    let mut since = args.since.clone().unwrap_or_else(|| "start".to_owned());
    let mut reached = false;
    loop {
        let mut stream = Stream::default();
        let ended = api
            .events(&query(args, &since), &mut |bytes| {
                stream.take(bytes, &mut |event, data| show(console, json, event, data))
            })
            .await;
        if let Some(last) = stream.last_id {
            since = last;
            reached = true;
        }
        match ended {
            Ok(()) if !args.follow => return Ok(()),
            Ok(()) => {}
            // It goes away and comes back: it is restarted.
            Err(error) if args.follow && reached && error.may_pass() => {}
            Err(error) => return Err(error),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn query(args: &EventsArgs, since: &str) -> String {
    let types = (!args.types.is_empty()).then(|| args.types.join(","));
    let mut path = with_query(path(&["events"]), "since", Some(since));
    path = with_query(path, "types", types.as_deref());
    path = with_query(path, "project", args.project.as_deref());
    with_query(path, "follow", (!args.follow).then_some("false"))
}

fn show(console: &mut Console<'_>, json: bool, event: &Event, data: &str) -> io::Result<()> {
    if json {
        writeln!(console.out, "{data}")?;
    } else {
        writeln!(console.out, "{}", output::plain(&line(event)))?;
    }
    console.out.flush()
}

/// An event stream (HTML, "Server-sent events"), as far as it has come.
#[derive(Default)]
struct Stream {
    pending: Vec<u8>,
    last_id: Option<String>,
}

impl Stream {
    /// Hands on the events that are complete.
    fn take(
        &mut self,
        bytes: &[u8],
        event: &mut dyn FnMut(&Event, &str) -> io::Result<()>,
    ) -> io::Result<()> {
        let strange = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why.to_owned());
        self.pending.extend_from_slice(bytes);
        while let Some(end) = self.pending.windows(2).position(|pair| pair == b"\n\n") {
            let block: Vec<u8> = self.pending.drain(..end + 2).collect();
            let block = String::from_utf8(block).map_err(|_| strange("an event is no text"))?;
            let mut data = None;
            for line in block.lines() {
                match line.split_once(": ") {
                    Some(("id", id)) => self.last_id = Some(id.to_owned()),
                    Some(("data", text)) => data = Some(text.to_owned()),
                    _ => {}
                }
            }
            if let Some(data) = data {
                let parsed = serde_json::from_str(&data).map_err(io::Error::other)?;
                event(&parsed, &data)?;
            }
        }
        if self.pending.len() > EVENT_BYTES_MAX {
            return Err(strange("an event that does not end"));
        }
        Ok(())
    }
}

/// An event on one line.
fn line(event: &Event) -> String {
    let mut line = format!("{} {:<16}", output::time(&event.time), event.kind);
    let name = event.object.as_ref().or(event.disk.as_ref());
    let mut parts = Vec::new();
    parts.extend(match (&event.project, name) {
        (Some(project), Some(name)) if project != name => Some(format!("{project}/{name}")),
        (Some(name), _) | (None, Some(name)) => Some(name.clone()),
        (None, None) => None,
    });
    let session = event.session.as_ref();
    let details = [
        ("of", event.of.clone()),
        ("is", event.state.clone()),
        ("from", event.image.clone()),
        ("node", event.node.clone()),
        ("disk", event.disk.clone().filter(|disk| name != Some(disk))),
        ("job", event.job.as_ref().map(|job| job.id.to_string())),
        ("at", event.job.as_ref().map(output::progress)),
        ("session", session.map(|session| session.id.to_string())),
        ("initiator", session.map(|session| session.initiator.clone())),
        ("mac", event.mac.clone()),
        ("address", event.address.clone().or_else(|| session.map(|it| it.address.clone()))),
        ("secret", event.secret.map(|secret| if secret { "yes" } else { "no" }.to_owned())),
        ("at most", event.lost.map(|lost| format!("{lost} events"))),
    ];
    let details = details.into_iter().filter_map(|(word, value)| Some((word, value?)));
    parts.extend(details.map(|(word, value)| format!("{word} {value}")));
    if !parts.is_empty() {
        let _infallible = write!(line, " {}", parts.join(", "));
    }
    match &event.reason {
        Some(reason) if parts.is_empty() => line + " " + reason,
        Some(reason) => line + ": " + reason,
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_may_come_in_any_pieces() {
        let text = "id: a-1\n\n:\n\nid: a-2\nevent: lost\ndata: {\"id\":\"a-2\",\"time\":\"t\",\
                    \"type\":\"lost\",\"lost\":3}\n\nid: a-3\nevent: x";
        for size in [1, 2, 7, 1000] {
            let mut stream = Stream::default();
            let mut seen = Vec::new();
            for piece in text.as_bytes().chunks(size) {
                stream
                    .take(piece, &mut |event, _| {
                        seen.push((event.id.clone(), event.lost));
                        Ok(())
                    })
                    .unwrap();
            }
            assert_eq!(seen, [("a-2".to_owned(), Some(3))]);
            assert_eq!(stream.last_id.as_deref(), Some("a-2"), "the last one is not complete");
        }
    }

    #[test]
    fn what_is_no_stream_ends_it() {
        let mut none = |_: &Event, _: &str| Ok(());
        let take = |bytes: &[u8], event: &mut dyn FnMut(&Event, &str) -> io::Result<()>| {
            Stream::default().take(bytes, event)
        };
        assert!(take(b"data: {\n\n", &mut none).is_err());
        assert!(take(b"data: \xff\n\n", &mut none).is_err());
        assert!(take(&vec![b'x'; EVENT_BYTES_MAX + 1], &mut none).is_err());
    }
}
