//! layertop: htop for cached image builds.

use std::io::Write as _;
use std::process::ExitCode;

use layertop::event::Text;

fn main() -> ExitCode {
    let _ = color_eyre::install();
    layertop::terminal::restore_on_panic();
    match layertop::app::run(layertop::cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if !error.is_silent() {
                // It quotes files and replies that others wrote. Where there is nobody to tell, the exit code has to do.
                let message = error.to_string();
                let lines: Vec<String> = message.lines().map(|line| Text::clean(line).to_string()).collect();
                let _ = writeln!(std::io::stderr(), "error: {}", lines.join("\n"));
            }
            ExitCode::from(error.exit_code())
        }
    }
}
