"""The walls around student code, and in `worker/` what runs behind them."""
