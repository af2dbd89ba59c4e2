//! Two processes of a small service before one server, with and without the near cache.
//!
//! ```sh
//! cargo run --release --manifest-path near/Cargo.toml --example two_processes
//! ```
//!
//! It starts a server of its own, and itself again as two processes that read users as people do (few of them
//! often, most of them hardly ever), and write some. Meanwhile a clock on the server is set every few milliseconds,
//! and each process looks at it all the time: how old is what it sees? It prints what reads cost, how many of them
//! ask the server, and how late news arrives; and draws what reads cost. A time in seconds may be given for each run.

mod service;

use brimful_near::redis::{self, Client, aio::MultiplexedConnection};
use near_server::Server;
use report::chart::{Axis, BLUE, Chart, GREEN, Series, SeriesLabelPosition, VERMILION};
use service::{Findings, How, Plan};
use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;
use std::{env, io};
use tokio::process::Command;
use tokio::time;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// How often the clock is set.
const TICK: Duration = Duration::from_millis(2);

#[tokio::main]
async fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    let outcome = match arguments.next() {
        Some(first) if first == "service" => serve(arguments).await,
        seconds => compare(seconds).await,
    };
    report::finish(outcome)
}

/// One of the two processes: reads its plan, works, and prints what it found.
async fn serve(arguments: impl Iterator<Item = String>) -> Outcome<()> {
    let plan = Plan::read(arguments)?;
    print!("{}", service::work(&plan).await?);
    Ok(())
}

async fn compare(seconds: Option<String>) -> Outcome<()> {
    let seconds = seconds.map_or(Ok(4.0), |text| text.parse::<f64>());
    let seconds = seconds.map_err(|_| "the one argument is a time in seconds, as in 4")?;
    let time = Duration::try_from_secs_f64(seconds).map_err(|_| "that is no time")?;
    let server = Server::start(&[])?;
    let mut connection = Client::open(server.url())?
        .get_multiplexed_async_connection()
        .await?;
    service::fill(&mut connection).await?;
    println!(
        "two processes, {} users, {:?} each run\n",
        service::USERS,
        time
    );
    println!(
        "                      reads/s     p50 µs   p99 µs  asks the server  news p50 µs  p99 µs  older after newer"
    );
    let mut series = Vec::new();
    for (how, name, color) in [
        (How::Plain, "no near cache", VERMILION),
        (How::Keys, "near cache, by keys", BLUE),
        (How::Prefix, "near cache, by prefix", GREEN),
    ] {
        let plan = Plan {
            how,
            port: server.port(),
            time,
        };
        let found = run_two(&plan, &mut connection).await?;
        println!("{name:<20} {}", found.line(time));
        found.check()?;
        let points = found.latencies();
        series.push(Series {
            name: name.to_owned(),
            color,
            points,
        });
    }
    draw(series)
}

/// Both processes, while the clock is set.
async fn run_two(plan: &Plan, connection: &mut MultiplexedConnection) -> Outcome<Findings> {
    let program = env::current_exe()?;
    let start = || {
        Command::new(&program)
            .arg("service")
            .args(plan.words())
            .output()
    };
    let both = async { tokio::try_join!(start(), start()) };
    let (one, two) = tokio::select! {
        both = both => both?,
        error = set_clock(connection) => return Err(error),
    };
    let mut found = Findings::default();
    for output in [one, two] {
        if !output.status.success() {
            io::Write::write_all(&mut io::stderr(), &output.stderr)?;
            return Err("a process has failed".into());
        }
        found.add(Findings::read(&String::from_utf8(output.stdout)?)?);
    }
    Ok(found)
}

/// Sets the clock, for ever.
async fn set_clock(connection: &mut MultiplexedConnection) -> Box<dyn Error> {
    loop {
        let mut set = redis::cmd("SET");
        set.arg(service::CLOCK).arg(service::now().to_string());
        if let Err(error) = set.exec_async(connection).await {
            return error.into();
        }
        time::sleep(TICK).await;
    }
}

fn draw(series: Vec<Series>) -> Outcome<()> {
    let chart = Chart {
        title: "What a read costs".to_owned(),
        subtitle: format!(
            "two processes, {} users, one server on this machine",
            service::USERS
        ),
        x: Axis {
            label: "of all reads".to_owned(),
            from: 0.0,
            to: 100.0,
            ticks: (0..=10).map(|tenth| f64::from(tenth) * 10.0).collect(),
            logarithmic: false,
            format: |part| format!("{part}%"),
        },
        y: Axis {
            label: "take at most".to_owned(),
            from: 1e-2,
            to: 1e5,
            ticks: (-2..=5).map(|power| 10_f64.powi(power)).collect(),
            logarithmic: true,
            format: |micros| format!("{micros} µs"),
        },
        series,
        dots: false,
        legend: SeriesLabelPosition::UpperLeft,
    };
    let path = report::default_path("two_processes.svg");
    chart.write_svg(&path)?;
    println!("\ndrawn: {}", path.display());
    Ok(())
}
