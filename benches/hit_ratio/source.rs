//! Where the traces come from: a folder, or, without one, three small ones that are made here. A
//! trace is read only when its turn comes, since a large one fills hundreds of megabytes.

use std::fs;
use std::path::{Path, PathBuf};

use trace::Trace;
use trace::input::{self, Form};

use crate::synthetic::{self, Make};
use crate::targets::Targets;

/// A trace that can be loaded.
pub(crate) struct Source {
    pub name: String,
    from: From,
}

enum From {
    File(PathBuf),
    Made(Make),
}

impl Source {
    pub(crate) fn load(&self) -> Result<Trace, String> {
        match &self.from {
            From::File(path) => input::read(path, Form::default()),
            From::Made(make) => Ok(make()),
        }
    }
}

/// The traces, and what others score on them.
pub(crate) fn open(folder: Option<&Path>) -> Result<(Vec<Source>, Targets), String> {
    let Some(folder) = folder else {
        return Ok((made(), Targets::default()));
    };
    let sources = in_folder(folder)?;
    Ok((sources, Targets::read(&folder.join("targets.csv"))?))
}

fn made() -> Vec<Source> {
    let made = synthetic::TRACES.iter().map(|&(name, make)| Source {
        name: name.to_string(),
        from: From::Made(make),
    });
    made.collect()
}

/// All traces of a folder by name.
fn in_folder(folder: &Path) -> Result<Vec<Source>, String> {
    let name = folder.display();
    let complain = |e: std::io::Error| format!("{name}: {e}");
    let mut sources = Vec::new();
    for entry in fs::read_dir(folder).map_err(complain)? {
        let path = entry.map_err(complain)?.path();
        sources.extend(trace_name(&path).map(|name| Source {
            name,
            from: From::File(path),
        }));
    }
    if sources.is_empty() {
        return Err(format!(
            "{name}: there is no trace (.btr or .btr.zst) in it"
        ));
    }
    sources.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(sources)
}

fn trace_name(path: &Path) -> Option<String> {
    let file = path.file_name()?.to_string_lossy();
    let name = file.strip_suffix(".zst").unwrap_or(&file);
    name.strip_suffix(".btr").map(str::to_string)
}
