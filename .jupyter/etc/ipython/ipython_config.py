"""IPython and its kernels complete names without jedi: it takes seconds, and JupyterLab waits one."""

c = get_config()  # noqa: F821
c.Completer.use_jedi = False
