//! The program on a real terminal: what it draws, what it writes, and that it leaves the terminal as it was.

mod build;
mod hostile;
mod leaving;
mod quiet;
mod restore;
mod sheets;
mod walk;
