//! layertop: htop for cached image builds.

use std::process::ExitCode;

#[expect(
    clippy::print_stderr,
    reason = "the one place where an error becomes a message, with the terminal given back"
)]
fn main() -> ExitCode {
    let _ = color_eyre::install();
    layertop::terminal::restore_on_panic();
    match layertop::app::run(layertop::cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if !error.is_silent() {
                eprintln!("error: {error}");
            }
            ExitCode::from(error.exit_code())
        }
    }
}
