//! `stirrup image download`: an image into a file, whole or not at all.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use indicatif::ProgressBar;

use super::api::Api;
use super::console::Console;
use super::error::ClientError;
use super::import::new_bar;

/// Zeros are left out in pieces of this size.
const HOLE_BYTES: usize = 4096;

/// Downloads an image. The file has its name only when all of it is there.
pub(super) async fn run(
    api: &Api,
    project: &str,
    image: &str,
    file: &Path,
    console: &mut Console<'_>,
) -> Result<(), ClientError> {
    let (name, tag) = match image.split_once('@') {
        Some((name, tag)) => (name, Some(tag)),
        None => (image, None),
    };
    let mut sparse = Sparse::create(file)?;
    let mut bar: Option<ProgressBar> = None;
    let is_shown = console.bar;
    let mut take = |total: u64, bytes: &[u8]| {
        sparse.write(bytes)?;
        if is_shown {
            bar.get_or_insert_with(|| new_bar(total, image)).inc(bytes.len() as u64);
        }
        Ok(())
    };
    let result = api.download(project, name, tag, &mut take).await;
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    result?;
    let size_bytes = sparse.finish(file)?;
    console.note(&format!("{}: {size_bytes} bytes", file.display()))
}

/// A file without the zeros that are written to it.
struct Sparse {
    file: File,
    part: PathBuf,
    at: u64,
    done: bool,
}

impl Sparse {
    /// Begins a file beside the one that it is to become.
    fn create(file: &Path) -> io::Result<Self> {
        let mut part = file.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        let file = File::create(&part).map_err(|error| {
            io::Error::new(error.kind(), format!("{}: {error}", part.display()))
        })?;
        Ok(Self { file, part, at: 0, done: false })
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        for piece in bytes.chunks(HOLE_BYTES) {
            if piece.iter().any(|&byte| byte != 0) {
                self.file.seek(SeekFrom::Start(self.at))?;
                self.file.write_all(piece)?;
            }
            self.at += piece.len() as u64;
        }
        Ok(())
    }

    /// Gives the file its name; its size.
    fn finish(mut self, file: &Path) -> io::Result<u64> {
        self.file.set_len(self.at)?;
        self.file.sync_all()?;
        std::fs::rename(&self.part, file)?;
        self.done = true;
        Ok(self.at)
    }
}

impl Drop for Sparse {
    fn drop(&mut self) {
        if !self.done {
            // A part of an image is of no use; that it stays is no second failure.
            let _ = std::fs::remove_file(&self.part);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_become_holes_and_a_part_goes() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("disk");
        let mut sparse = Sparse::create(&file).unwrap();
        let mut bytes = vec![0; 20_000];
        bytes[9000] = 7;
        for piece in bytes.chunks(3000) {
            sparse.write(piece).unwrap();
        }
        assert!(!file.exists());
        assert_eq!(sparse.finish(&file).unwrap(), 20_000);
        assert_eq!(std::fs::read(&file).unwrap(), bytes);
        Sparse::create(&file).unwrap().write(&[1]).unwrap();
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
