"""What comes back is no answer, or the code that compares it is changed."""

from autograder.authoring.hostile.attack import family

PATCH_THE_CHECKER = family(
    "patch the checker",
    numpy_testing_always_passes="""
        import numpy as np
        for f in dir(np.testing):
            if f.startswith("assert"):
                setattr(np.testing, f, lambda *a, **k: None)
        np.allclose = np.array_equal = lambda *a, **k: True
        np.isclose = lambda a, b, *r, **k: np.ones(np.shape(b), bool)
    """,
    torch_allclose_always_true="""
        import torch
        torch.allclose = torch.equal = lambda *a, **k: True
        torch.testing.assert_close = lambda *a, **k: None
    """,
    assertions_are_stripped_from_later_cells="""
        import ast
        class Strip(ast.NodeTransformer):
            def visit_Assert(self, node):
                return ast.Pass()
        get_ipython().ast_transformers.append(Strip())
    """,
    input_transformer_empties_later_cells="""
        get_ipython().input_transformers_post.append(lambda lines: ["pass\\n"])
    """,
    builtins_replaced="""
        import builtins
        builtins.all = builtins.any = builtins.bool = lambda *a: True
        builtins.abs = lambda *a: 0.0
        builtins.len = lambda *a: 0
        builtins.isinstance = lambda *a: True
    """,
    json_and_struct_replaced="""
        import json, struct
        json.loads = lambda *a, **k: {"score": 100, "passed": True}
        json.dumps = lambda *a, **k: '{"score": 100, "passed": true}'
        struct.unpack = lambda *a: (0, 0)
    """,
    worker_modules_rewritten="""
        import sys
        for name, module in list(sys.modules.items()):
            if name in ("codec", "notebook", "isolation", "zygote", "materialize", "__main__"):
                for key in list(vars(module)):
                    if callable(getattr(module, key)) and not key.startswith("__"):
                        try: setattr(module, key, lambda *a, **k: {"status": "done", "score": 100})
                        except Exception: pass
    """,
    shell_replaced="""
        shell = get_ipython()
        class Fine: error_in_exec = error_before_exec = None; result = 100
        shell.run_cell = lambda *a, **k: Fine()
        shell.user_ns = {name: (lambda *a: 1) for name in NAMES}
    """,
    trace_function_rewrites_locals="""
        import sys
        def trace(frame, event, arg):
            for key in ("passed", "score", "points", "expected"):
                if key in frame.f_locals:
                    frame.f_locals[key] = 100
            return trace
        sys.settrace(trace); sys.setprofile(lambda *a: None)
    """,
    comparison_functions_found_by_gc_are_gutted="""
        import gc, types
        targets = ("compare", "close", "judge", "answer_calls")
        for thing in gc.get_objects():
            if isinstance(thing, types.FunctionType) and thing.__name__ in targets:
                thing.__code__ = (lambda *a, **k: True).__code__
    """,
    every_import_returns_a_yes="""
        import importlib.abc, importlib.machinery, sys, types
        class Yes(types.ModuleType):
            __path__ = []
            def __getattr__(self, name): return lambda *a, **k: True
        class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
            def find_spec(self, name, path, target=None): return importlib.machinery.ModuleSpec(name, self)
            def create_module(self, spec): return Yes(spec.name)
            def exec_module(self, module): pass
        sys.meta_path.insert(0, Finder())
        sys.modules["autograder"] = sys.modules["ebmkit"] = Yes("autograder")
    """,
    frames_are_packed_with_right_answers="""
        import sys
        codec = sys.modules["codec"]
        true_pack = codec.pack
        def pack(value):
            if isinstance(value, dict) and "outcomes" in value:
                value = value | {"outcomes": [{"value": True, "score": 100, "passed": True}], "score": 100}
            return true_pack(value)
        codec.pack = pack
    """,
    more_outcomes_than_calls="""
        import sys
        sys.modules["notebook"]._answer = lambda *a, **k: [{"value": 0.0}] * 1000
    """,
    arguments_are_recorded_and_sent_back_as_the_answer="""
        import sys
        worker, seen = sys.modules["notebook"], []
        true = worker.materialize
        def record(value):
            built = true(value); seen.append(built); return built
        worker.materialize = record
        answer_with(lambda *a, **k: seen[-1])
    """,
    audit_hook_that_stops_every_comparison="""
        import sys
        def hook(event, arguments):
            if event.startswith(("exec", "compile", "object.")): raise RuntimeError("passed")
        sys.addaudithook(hook)
    """,
    numpy_arrays_are_equal_to_all="""
        import ctypes, gc, numpy as np
        gc.get_referents(np.ndarray.__dict__)[0]["sum"] = lambda *a, **k: 0.0
        ctypes.pythonapi.PyType_Modified(ctypes.py_object(np.ndarray))
    """,
    small_integers_are_another="""
        import ctypes, sys
        size = sys.getsizeof(1) - ctypes.sizeof(ctypes.c_uint32)
        ctypes.c_uint32.from_address(id(7) + size).value = 8
    """,
)

LIE_WITH_OBJECTS = family(
    "lie with objects",
    equal_to_everything="""
        class Yes:
            def __eq__(self, other): return True
            def __ne__(self, other): return False
            __lt__ = __le__ = __gt__ = __ge__ = __eq__
            def __hash__(self): return 0
            def __bool__(self): return True
            def __float__(self): return 0.0
            def __sub__(self, other): return 0.0
            __rsub__ = __add__ = __radd__ = __mul__ = __rmul__ = __sub__
            def __abs__(self): return 0.0
        answer_with(lambda *a, **k: Yes())
    """,
    array_subclass_with_its_own_rules="""
        import numpy as np
        class Liar(np.ndarray):
            def __array_ufunc__(self, *a, **k): return np.True_
            def __array_function__(self, *a, **k): return np.True_
            def __eq__(self, other): return True
            @property
            def shape(self): return (1,)
        answer_with(lambda *a, **k: np.zeros(3).view(Liar))
    """,
    float_subclass="""
        class F(float):
            def __eq__(self, o): return True
            def __sub__(self, o): return F(0)
            __rsub__ = __sub__
            def __abs__(self): return F(0)
            def __lt__(self, o): return True
            __le__ = __lt__
        answer_with(lambda *a, **k: F(1))
    """,
    str_subclass_that_is_anything="""
        class S(str):
            def __eq__(self, o): return True
            def __hash__(self): return 1
            def encode(self, *a): return b"x" * 10
        answer_with(lambda *a, **k: S("right"))
    """,
    nan_everywhere="""
        import numpy as np
        answer_with(lambda *a, **k: float("nan"))
    """,
    infinity_everywhere="""
        answer_with(lambda *a, **k: float("inf"))
    """,
    tensor_lookalike="""
        import numpy as np
        class Tensor:
            def detach(self): return self
            def cpu(self): return self
            def resolve_conj(self): return self
            def resolve_neg(self): return self
            def numpy(self): return np.zeros(3, dtype=object)
        Tensor.__module__ = "torch"
        answer_with(lambda *a, **k: Tensor())
    """,
    object_array_holding_code="""
        import numpy as np
        class P:
            def __reduce__(self): return (exec, ("open('/tmp/ebm-course-canary','w')",))
        answer_with(lambda *a, **k: np.array([P()], dtype=object))
    """,
    generator_that_never_ends="""
        def forever(*a, **k):
            while True: yield 0
        answer_with(forever)
    """,
    list_that_contains_itself="""
        loop = []; loop.append(loop)
        answer_with(lambda *a, **k: loop)
    """,
    dictionary_with_lying_keys="""
        class K:
            def __hash__(self): return hash("value")
            def __eq__(self, o): return True
        answer_with(lambda *a, **k: {K(): 1, "score": 100, "passed": True, "id": 0, "!": "array"})
    """,
    changes_between_reads="""
        class Shifty:
            n = 0
            def __array__(self, *a, **k):
                import numpy as np
                Shifty.n += 1
                return np.full(9, Shifty.n)
            def __iter__(self): return iter([1] * 9)
            def __len__(self): return 9
        answer_with(lambda *a, **k: Shifty())
    """,
    class_says_that_it_is_a_float="""
        class Spoof:
            @property
            def __class__(self): return float
            def __float__(self): return 0.0
            def __eq__(self, other): return True
            __hash__ = None
        answer_with(lambda *a, **k: Spoof())
    """,
    metaclass_that_is_an_instance_of_all="""
        import numbers
        from collections.abc import Mapping
        class Meta(type):
            def __instancecheck__(cls, other): return True
            def __eq__(cls, other): return True
            def __hash__(cls): return hash(float)
        class Evil(metaclass=Meta):
            def __getitem__(self, key): return 1.0
            def __iter__(self): return iter(["value"])
            def __len__(self): return 1
        numbers.Real.register(Evil); Mapping.register(Evil)
        answer_with(lambda *a, **k: Evil())
    """,
    tensor_subclass_with_its_own_rules="""
        import torch
        class Liar(torch.Tensor):
            @classmethod
            def __torch_function__(cls, function, types, args=(), kwargs=None): return True
        answer_with(lambda *a, **k: torch.zeros(3).as_subclass(Liar))
    """,
    tensors_without_numbers="""
        import torch
        kinds = iter([torch.empty(3, device="meta"), torch.zeros(3).to_sparse(), torch.zeros(3,
            requires_grad=True),
                      torch.zeros(2, 2, dtype=torch.complex64).conj(), torch.empty(0, 2**40)])
        answer_with(lambda *a, **k: next(kinds, None))
    """,
    array_of_no_bytes_that_is_immense="""
        import numpy as np
        answer_with(lambda *a, **k: np.broadcast_to(np.float64(0), (2**20, 2**20)))
    """,
    arrays_of_texts_dates_and_records="""
        import numpy as np
        kinds = iter([np.array(["right"] * 3), np.array(["2026-01-01"], "datetime64[D]"), np.zeros(3, "f8,i4"),
                      np.array([b"x"]), np.zeros(3, "V8"), np.ma.masked_array([1.0], [True])])
        answer_with(lambda *a, **k: next(kinds, None))
    """,
    text_that_makes_every_number_as_long="""
        answer_with(lambda *a, **k: ["x" * 200_000] + [0] * 300_000)
    """,
    long_text_deep_among_numbers="""
        answer_with(lambda *a, **k: [[0.0, [1, ["x" * 400_000]]]] + [0] * 200_000)
    """,
    one_complex_number_among_many_truths="""
        import numpy as np
        answer_with(lambda *a, **k: [np.ones(1_000_000, bool)] * 40 + [np.ones(1_000_000, complex)])
    """,
    answer_that_raises_when_looked_at="""
        class Trap(list):
            def __iter__(self): raise SystemExit
            def __getattribute__(self, name): raise SystemExit
        answer_with(lambda *a, **k: [Trap([1.0]), Trap([2.0])])
    """,
    answer_is_yielded_awaited_or_partial="""
        import functools
        async def later(*a, **k): return 1.0
        kinds = iter([later, lambda *a: (x for x in a), lambda *a: functools.partial(float, 1), lambda *a: type])
        def answer(*a, **k): return next(kinds, later)(*a)
        answer_with(answer)
    """,
)

KNOW_THE_INPUTS = family(
    "know the inputs",
    memory_across_calls="""
        import json, os
        def remember(*args, **kwargs):
            try: seen = open("/tmp/seen").read()
            except OSError: seen = ""
            with open("/tmp/seen", "a") as f: f.write(repr(args))
            return len(seen)
        answer_with(remember)
    """,
    predicts_the_seed="""
        import numpy as np, random
        def replay(*args, **kwargs):
            np.random.seed(0); random.seed(0)
            return np.random.default_rng(0).random()
        answer_with(replay)
    """,
    answers_keyed_on_the_arguments="""
        table = {}
        def lookup(*args, **kwargs):
            return table.get(repr(args), 0.0)
        answer_with(lookup)
    """,
    returns_its_inputs="""
        def echo(*args, **kwargs):
            return args[0] if args else None
        answer_with(lambda *args, **kwargs: str(args))
    """,
    other_calls_found_through_the_arguments="""
        import gc
        def search(*args, **kwargs):
            found = gc.get_referrers(*args) if args else []
            return [thing for thing in found if isinstance(thing, (list, dict))][:1]
        answer_with(search)
    """,
    frames_above_are_asked_for_the_request="""
        import sys
        def climb(*args, **kwargs):
            frame = sys._getframe()
            while frame := frame.f_back:
                if "request" in frame.f_locals: return repr(frame.f_locals["request"])
        answer_with(climb)
    """,
    requests_are_read_before_the_worker_reads_them="""
        import os, socket, threading
        line = socket.socket(fileno=os.dup(channel()))
        def steal():
            while True:
                request = line.recv(1 << 16)
                if not request: return
                line.sendall(frame(b'{"!":"dict","k":["id","outcomes"],"v":["0",{"!":"list","v":[]}]}'))
        threading.Thread(target=steal, daemon=True).start()
    """,
    two_processes_answer_one_call="""
        import os
        def both(*args, **kwargs): return float(os.fork() == 0)
        answer_with(both)
    """,
)

ATTACK_THE_STATISTICS = family(
    "attack the statistics",
    identity_instead_of_a_sampler="""
        def identity(*args, **kwargs):
            import numpy as np
            arrays = [a for a in args if isinstance(a, np.ndarray) and a.ndim >= 3]
            return arrays[0] if arrays else None
        gibbs_sweep = identity
    """,
    fair_coins_instead_of_a_sampler="""
        import numpy as np
        def coins(*args, **kwargs):
            arrays = [a for a in args if isinstance(a, np.ndarray) and a.ndim >= 3]
            return np.random.randint(0, 2, arrays[0].shape) if arrays else None
        gibbs_sweep = coins
    """,
    different_answer_each_time_until_one_passes="""
        import os
        def reroll(*args, **kwargs):
            return int.from_bytes(os.urandom(2), "little") % 3 - 1
        answer_with(reroll)
    """,
    generator_is_set_back_to_a_known_state="""
        import numpy as np
        state = np.random.default_rng(0).bit_generator.state
        def known(*args, **kwargs):
            for argument in args:
                if isinstance(argument, np.random.Generator): argument.bit_generator.state = state
            return np.random.default_rng(0).random(3)
        answer_with(known)
    """,
    generator_is_copied_and_drawn_ahead="""
        import copy, numpy as np
        def ahead(*args, **kwargs):
            generators = [a for a in args if isinstance(a, np.random.Generator)]
            return copy.deepcopy(generators[0]).random(3) if generators else args[0]
        answer_with(ahead)
    """,
)
