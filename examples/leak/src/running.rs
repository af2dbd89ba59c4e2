//! The copies of the service as child processes: this program, started again with `--service`, so
//! that each curve is the true resident memory of one copy.

use std::error::Error;
use std::io::{self, BufRead, BufReader, IsTerminal, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::thread;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use report::grouped;

use crate::curve::Sample;
use crate::service::{SAMPLES, Store};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// One copy of the service in its process, and what it has told.
pub(crate) struct Running {
    pub store: Store,
    pub samples: Vec<Sample>,
    /// The difference of two looks at its statistics, line by line.
    pub diff: Vec<String>,
    /// Who removes an entry of it, and when.
    pub answer: Vec<String>,
    process: Child,
}

/// Runs all copies side by side to their ends and shows how far they are.
pub(crate) fn follow(requests: u64, capacity: usize) -> Outcome<Vec<Running>> {
    let (sender, receiver) = mpsc::channel();
    let mut copies = Vec::new();
    for (index, store) in Store::ALL.into_iter().enumerate() {
        let mut copy = Running::start(store, requests, capacity)?;
        let lines = copy
            .process
            .stdout
            .take()
            .ok_or("a copy has no standard output")?;
        copies.push(copy);
        let sender = sender.clone();
        thread::spawn(move || forward(index, lines, &sender));
    }
    drop(sender);
    let mut progress = Progress::new(requests);
    for (index, line) in receiver {
        copies[index].hear(&line?)?;
        progress.show(&copies)?;
    }
    copies.iter_mut().try_for_each(Running::end)?;
    Ok(copies)
}

fn forward(index: usize, lines: ChildStdout, sender: &mpsc::Sender<(usize, io::Result<String>)>) {
    for line in BufReader::new(lines).lines() {
        if sender.send((index, line)).is_err() {
            return;
        }
    }
}

impl Running {
    fn start(store: Store, requests: u64, capacity: usize) -> Outcome<Self> {
        let process = Command::new(std::env::current_exe()?)
            .args(["--service", store.name()])
            .args(["--requests", &requests.to_string()])
            .args(["--capacity", &capacity.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| format!("cannot start the {} copy: {e}", store.name()))?;
        Ok(Self {
            store,
            samples: Vec::new(),
            diff: Vec::new(),
            answer: Vec::new(),
            process,
        })
    }

    fn hear(&mut self, line: &str) -> Outcome<()> {
        match line.split_once(' ') {
            Some(("sample", text)) => self.samples.push(text.parse()?),
            Some(("diff", text)) => self.diff.push(text.to_string()),
            Some(("answer", text)) => self.answer.push(text.to_string()),
            _ => return Err(format!("the {} copy said `{line}`", self.store.name()).into()),
        }
        Ok(())
    }

    fn end(&mut self) -> Outcome<()> {
        let status = self.process.wait()?;
        if status.success() && self.samples.len() as u64 == SAMPLES + 1 {
            return Ok(());
        }
        let name = self.store.name();
        let handled = grouped(self.samples.last().map_or(0, |s| s.requests));
        let hint = "did the machine run out of memory?";
        Err(format!("the {name} copy ended after {handled} requests ({status}); {hint}").into())
    }

    /// The sample after so many tenths of the run, once it is there.
    fn tenth(&self, tenth: u64) -> Option<&Sample> {
        self.samples.get((tenth * SAMPLES / 10) as usize)
    }
}

/// Whichever way this ends, no copy goes on alone.
impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// How far the copies are: bars on a terminal, else a line for each tenth of the way.
enum Progress {
    Bars(Vec<ProgressBar>),
    Lines { tenth: u64 },
}

impl Progress {
    fn new(requests: u64) -> Self {
        if !io::stderr().is_terminal() {
            return Self::Lines { tenth: 0 };
        }
        let style = ProgressStyle::with_template("{prefix:>8} [{bar:40}] {percent:>3} %  {msg}");
        let style = style
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .progress_chars("=> ");
        let all = MultiProgress::new();
        let bar = |store: Store| {
            let bar = all.add(ProgressBar::new(requests).with_style(style.clone()));
            bar.with_prefix(store.name())
        };
        Self::Bars(Store::ALL.map(bar).into())
    }

    fn show(&mut self, copies: &[Running]) -> io::Result<()> {
        match self {
            Self::Bars(bars) => {
                bars.iter()
                    .zip(copies)
                    .for_each(|(bar, copy)| move_on(bar, copy));
                Ok(())
            }
            Self::Lines { tenth } => print_tenths(tenth, copies),
        }
    }
}

fn move_on(bar: &ProgressBar, copy: &Running) {
    let Some(sample) = copy.samples.last() else {
        return;
    };
    bar.set_message(format!("{:6.1} MiB resident", sample.mib()));
    bar.set_position(sample.requests);
    if bar.length() == Some(sample.requests) {
        bar.abandon();
    }
}

/// A line for each tenth of the run, from `tenth` on, that all copies have behind them.
fn print_tenths(tenth: &mut u64, copies: &[Running]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    while let Some(samples) = copies
        .iter()
        .map(|c| c.tenth(*tenth))
        .collect::<Option<Vec<_>>>()
    {
        write!(out, "{:>12} requests", grouped(samples[0].requests))?;
        for (copy, sample) in copies.iter().zip(samples) {
            write!(out, "   {} {:8.1} MiB", copy.store.name(), sample.mib())?;
        }
        writeln!(out)?;
        *tenth += 1;
    }
    Ok(())
}
