c = get_config()  # noqa: F821
# jedi takes seconds to complete a name; JupyterLab gives up after one
c.Completer.use_jedi = False
