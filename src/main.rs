//! The command line.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use cordboard::clock::System;
use cordboard::config;
use cordboard::media::Clips;
use cordboard::media_engine::sounds;
use cordboard::recorder::catalogue::ApiAccess;
use cordboard::recorder::command_line;
use cordboard::server::lines::Lines;
use cordboard::simulation;
use cordboard::staffing;
use cordboard::switch::journal;
use cordboard::{ivr, server};

/// A SIP switch with recording for a small call centre.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The configuration.
    #[arg(long, global = true, default_value = "config/cordboard.toml")]
    config: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the switch until SIGTERM, which lets live calls end; a second one ends them. SIGHUP reads the configuration anew.
    Serve,
    /// Says what is wrong with the configuration and its menus, with file and line; exits 2 if there is anything.
    Check {
        /// Walks the calls of `menus/NAME.scenario.toml` too, and says where one does not come to the places that it is to come to.
        #[arg(long)]
        scenarios: bool,
    },
    /// Walks a call from outside through menus and queues in no time, and prints its path.
    Simulate {
        /// The number that is called.
        #[arg(long)]
        to: String,
        #[arg(long)]
        from: String,
        /// When, in the time of the site: 2026-12-25T10:00; without it, now.
        #[arg(long)]
        at: Option<String>,
        /// Keys and when they are pressed, from the answer on: "1@3s 42#@9s"
        #[arg(long, default_value = "")]
        keys: String,
        /// What a server answers to a lookup: JSON. Once for each; further servers cannot be reached.
        #[arg(long = "answer")]
        answers: Vec<String>,
        /// No agent is at a phone; otherwise all are ready, and answer after four seconds.
        #[arg(long)]
        nobody: bool,
    },
    /// Lists, shows, verifies, exports recordings, or builds their index anew.
    Recordings {
        #[command(subcommand)]
        command: command_line::Command,
        /// Bearer token for the API of a switch that runs.
        #[arg(long, env = "CORDBOARD_ADMIN_TOKEN", hide_env_values = true)]
        token: Option<String>,
    },
    /// Lists who may use the API.
    Users,
    /// Plays a journal to a fresh core and compares all that comes of it with what came of it then; exits 1 where it differs.
    Replay { journal: PathBuf },
    /// Says how callers fare with so many agents, or how many it takes, by Erlang C or A; and lines, by Erlang B.
    Erlang(staffing::command_line::Question),
}

/// What is logged unless RUST_LOG says otherwise. DTLS warns of each extension of a ClientHello that it does not know, in every browser's call.
const LOGGED: &str = "info,rtc_dtls=error";

/// Whatever RUST_LOG says: at its finest the HTTP client tells of URLs, in which a caller's PIN may stand.
const NEVER_LOGGED: [&str; 2] = ["ureq=off", "ureq_proto=off"];

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("cordboard: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<ExitCode> {
    match &arguments.command {
        Command::Serve => serve(&arguments.config),
        Command::Check { scenarios } => check(&arguments.config, *scenarios),
        Command::Simulate { to, from, at, keys, answers, nobody } => {
            let call = Asked { to, from, at: at.as_deref(), keys, answers, nobody: *nobody };
            simulate(&arguments.config, &call)
        }
        Command::Recordings { command, token } => recordings(&arguments.config, command, token.clone()),
        Command::Users => users(&arguments.config),
        Command::Replay { journal } => replay(journal),
        Command::Erlang(question) => erlang(question),
    }
}

fn serve(path: &Path) -> Result<ExitCode> {
    let (log, _lines_are_written_while_this_lives) = Lines::to(std::io::stderr()).context("the log can't be written")?;
    let wanted = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| LOGGED.into());
    let filter =
        NEVER_LOGGED.iter().filter_map(|never| never.parse().ok()).fold(wanted, |filter, never| filter.add_directive(never));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(log)
        .log_internal_errors(false)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .init();
    let (source, generated) = config::load_or_generate(path)?;
    let problems = ivr::check_all(&source);
    if !problems.is_empty() {
        return Ok(report(&problems));
    }
    for caution in config::cautions(&source) {
        tracing::warn!("{caution}");
    }
    if let Some(secrets) = generated {
        println!("Secrets that the configuration left out were made: {}", secrets.display());
    }
    // SIP and the core share a thread: a message goes through both without waking another one. HTTP has its own, so that no search, however
    // long, is felt in a call.
    let runtime = |mut builder: tokio::runtime::Builder| builder.enable_all().build().context("the runtime can't be started");
    let web = runtime({
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(2).thread_name("http");
        builder
    })?;
    let ended =
        runtime(tokio::runtime::Builder::new_current_thread())?.block_on(server::run(source, path.to_owned(), web.handle()));
    web.shutdown_timeout(Duration::from_secs(1));
    let ended = ended?;
    Ok(match ended {
        server::Ended::Asked => ExitCode::SUCCESS,
        server::Ended::Faulty => ExitCode::from(70),
    })
}

fn check(path: &Path, scenarios: bool) -> Result<ExitCode> {
    let source = config::load(path)?;
    let mut problems = ivr::check_all(&source);
    let mut calls = 0;
    if problems.is_empty() && scenarios {
        let (config, clips) = rehearsed(path, &source)?;
        for file in config::scenarios(path)? {
            let checked = simulation::check(&file, &config, &clips);
            calls += checked.calls;
            problems.extend(checked.problems);
        }
    }
    if problems.is_empty() {
        if scenarios {
            println!("{calls} calls come where they are to come");
        }
        for caution in config::cautions(&source) {
            eprintln!("{caution} (a warning)");
        }
        println!("{}: nothing is wrong", path.display());
        return Ok(ExitCode::SUCCESS);
    }
    Ok(report(&problems))
}

/// A call as the command line describes it.
struct Asked<'a> {
    to: &'a str,
    from: &'a str,
    at: Option<&'a str>,
    keys: &'a str,
    answers: &'a [String],
    nobody: bool,
}

fn simulate(path: &Path, asked: &Asked<'_>) -> Result<ExitCode> {
    let source = config::load(path)?;
    let problems = ivr::check_all(&source);
    if !problems.is_empty() {
        return Ok(report(&problems));
    }
    let (config, clips) = rehearsed(path, &source)?;
    let at = match asked.at {
        Some(text) => simulation::moment(text, &config)?,
        None => System::start().now().wall,
    };
    let described = simulation::Described {
        to: asked.to.to_owned(),
        from: asked.from.to_owned(),
        at,
        keys: simulation::keys(asked.keys)?,
        answers: asked.answers.to_vec(),
    };
    let rings = (!asked.nobody).then_some(simulation::RINGS);
    let taken = simulation::Simulation::new(&config, clips, at, rings).call(&described)?;
    let mut out = std::io::stdout().lock();
    for step in &taken.0 {
        writeln!(out, "{step}")?;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// What a simulation needs of a configuration that was checked: itself, also before secrets are made, and how long its prompts last.
fn rehearsed(path: &Path, source: &config::Source) -> Result<(config::Config, Clips)> {
    let Ok(config) = config::Config::resolve_for_check(source) else { anyhow::bail!("the configuration has faults") };
    let names = source.prompts.iter().map(String::as_str);
    let (clips, errors) = sounds::load(&path.with_file_name("prompts"), names, config.media.hold_music.as_deref());
    for error in errors {
        eprintln!("{error} (a warning)");
    }
    Ok((config, clips))
}

fn report(problems: &[config::Problem]) -> ExitCode {
    for problem in problems {
        eprintln!("{problem}");
    }
    ExitCode::from(2)
}

/// The configuration as resolved; what is wrong with it is said first.
fn resolve(path: &Path) -> Result<Option<config::Config>> {
    match config::Config::resolve(&config::load(path)?) {
        Ok(config) => Ok(Some(config)),
        Err(problems) => {
            report(&problems);
            Ok(None)
        }
    }
}

fn recordings(path: &Path, command: &command_line::Command, token: Option<String>) -> Result<ExitCode> {
    let Some(config) = resolve(path)? else { return Ok(ExitCode::from(2)) };
    let token = token.or_else(|| config.users.iter().find_map(|u| u.token.as_ref()).map(|t| t.expose().to_owned()));
    let api = ApiAccess { base: format!("http://{}", config.http.listen), token };
    let mut out = std::io::stdout().lock();
    let outcome = command_line::run(command, &config.recording.folder, &api, &mut out)?;
    out.flush()?;
    Ok(match outcome {
        command_line::Outcome::Fine => ExitCode::SUCCESS,
        command_line::Outcome::Faults => ExitCode::from(1),
    })
}

fn users(path: &Path) -> Result<ExitCode> {
    let Some(config) = resolve(path)? else { return Ok(ExitCode::from(2)) };
    for user in &config.users {
        println!("{}", user.name);
    }
    Ok(ExitCode::SUCCESS)
}

fn replay(path: &Path) -> Result<ExitCode> {
    let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
    let replayed = journal::replay(&bytes)?;
    println!(
        "{} inputs, {} faults, {}: the same",
        replayed.inputs,
        replayed.faults,
        match replayed.ended {
            Some(why) => format!("ended ({why:?})"),
            None => "torn at the end".to_owned(),
        }
    );
    println!("{}", hex::encode(replayed.digest));
    Ok(ExitCode::SUCCESS)
}

fn erlang(question: &staffing::command_line::Question) -> Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    staffing::command_line::run(question, &mut out)?;
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}
