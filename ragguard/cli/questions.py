import typer
app=typer.Typer()
@app.command()
def x() -> None:
    """x"""
@app.command()
def y() -> None:
    """x"""
