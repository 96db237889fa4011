"""What benches/report and benches/compare share: targets, clients, runs, rows and tables."""
