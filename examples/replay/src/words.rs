//! What is replayed when no file is named: the words of brimful's own sources.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use trace::{Recorder, Trace};

/// The words of brimful's own sources, file by file in the order of their names.
pub(crate) fn own_words() -> Result<Trace, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../src");
    let mut files = Vec::new();
    collect_sources(&root, &mut files).map_err(|e| {
        format!(
            "{}: {e} (without a FILE brimful's own sources are replayed)",
            root.display()
        )
    })?;
    files.sort();
    let mut recorder = Recorder::new(false);
    for file in files {
        let text = fs::read(&file).map_err(|e| format!("{}: {e}", file.display()))?;
        words(&String::from_utf8_lossy(&text), |word| {
            recorder.push(word.as_bytes(), 1)
        });
    }
    let trace = recorder.finish();
    if trace.requests.is_empty() {
        return Err(format!(
            "{}: there is no word in the sources",
            root.display()
        ));
    }
    Ok(trace)
}

fn collect_sources(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect_sources(&path, files)?;
        } else if path.extension().is_some_and(|e| e == "rs" || e == "md") {
            files.push(path);
        }
    }
    Ok(())
}

fn words(text: &str, each: impl FnMut(&str)) {
    text.split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|word| !word.is_empty())
        .for_each(each);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_letters_digits_and_underscores() {
        let mut found = Vec::new();
        words("let max_size = 2*größe;// x-y", |word| {
            found.push(word.to_string())
        });
        assert_eq!(found, ["let", "max_size", "2", "größe", "x", "y"]);
        assert!(own_words().unwrap().unique > 1);
    }
}
