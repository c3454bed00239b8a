#!/usr/bin/env python3
"""make_evidence FOLDER CASE [SLOWER]: writes a synthetic run folder (docs/EVIDENCE.md) for the tests of report and verify.

Written from the format's description alone, not with the program's own writer, so that it also tests the reader. All random
numbers come from a fixed seed. Cases:
  gpu         a GPU; --cpu-moe frees the experts' bytes and decodes 3 times slower
  gpu-stuck   the same, but VRAM does not fall: an invalid run
  gpu-nowhere the same, VRAM falls, but host memory never holds what left the GPU
  gpu-layers  half the experts move, by --n-cpu-moe, in an arm of a server of another kind
  cpu         no GPU, no NVML; nothing moves and nothing differs but noise
  hostile     names, prompts, replies and errors that try to be markup, and one flagged sample
  crash       a server that crashed, with requests missing
  sequential  the published form, one start of each server
  long        as cpu, eight runs of replies with 4,000 frames and minutes of loading: more than a page shall carry
  bursts      as cpu, with eight tokens handed over at a time
  three       three arms, one of them the first again (A/A)
  sweep       --n-cpu-moe over 0, 6, 12, 18, 24: memory falls and time grows with it, but 18 is slower than 24
  stopped     as three, but stopped after 6 of 12 blocks by a look at the interval's width
  left-out    as three, but the A/A arm was left out after the first block
  equal       as cpu, with a margin of equivalence of 20 %
"""
import hashlib
import json
import math
import os
import random
import sys

MIB = 1 << 20
MS = 1_000_000
HOSTILE = "</title><script>alert(1)</script> & \"quoted\" 'single' `tick` | *star* _line_ [x](javascript:1) \u0001 é 漢"


class Run:
    def __init__(self, folder, case, slower=None):
        self.folder, self.case = folder, case
        self.random = random.Random(f"seesaw {case} {slower or ''}".strip())
        self.slower = float(slower or 1)  # every time of every arm; a run of its own, with its own noise
        self.gpu = case in ("gpu", "gpu-stuck", "gpu-nowhere", "gpu-layers", "three", "stopped", "left-out", "sweep")
        self.hostile = case == "hostile"
        self.expert_bytes = 9000 * MIB if self.gpu else 8 * MIB
        self.now = 5_000_000_000_000
        self.samples, self.tokens, self.telemetry = [], [], []
        self.gpu_nj = self.energy_ns = 0  # what the GPUs' energy counter counts, and until when
        self.runs, self.planned_runs = {"stopped": (6, 12), "long": (8, 8)}.get(case, (3, 3))
        self.arms = [("baseline", []), ("offload", ["--cpu-moe"])]
        self.moved_bytes = self.expert_bytes
        if case == "gpu-layers":
            self.moved_bytes //= 2
            self.arms[1] = ("offload", ["--n-cpu-moe", "12"])
        if case in ("three", "stopped", "left-out"):
            self.arms.append(("again" if case == "three" else "aa", []))
        if case == "sweep":
            self.arms = [(f"n-cpu-moe-{n}", ["--n-cpu-moe", str(n)]) for n in (0, 6, 12, 18, 24)]
        texts = ["Write a haiku about AI", "Explain quantum computing in simple terms", "Third", "Fourth prompt, longest"]
        if self.hostile:
            texts[0] = HOSTILE
        self.prompts = [{"id": f"q{i + 1}", "label": HOSTILE if self.hostile and i == 1 else f"label{i + 1}", "text": text,
                         "published_tokens": [7, 6, 10, None][i], "tokens": 5 + i} for i, text in enumerate(texts)]

    def offloaded(self, arm):
        """Which part of what can move the arm keeps in host memory."""
        return int(self.arms[arm][1][1]) / 24 if self.case == "sweep" else float(self.moves(arm))

    def line(self, kind, **fields):
        self.now += 1000
        self.samples.append({**fields, "kind": kind, "t_ns": self.now})

    def schedule(self):
        if self.case == "sequential":
            return [(0, position, position) for position in range(len(self.arms))]
        order = list(range(len(self.arms)))
        return [(block, position, order[position] if block % 2 == 0 else order[-1 - position])
                for block in range(self.planned_runs) for position in range(len(self.arms))]

    def moves(self, arm):
        return any(word.endswith("cpu-moe") for word in self.arms[arm][1])

    def audit(self):
        """A self-audit whose errors are known: every frame is seen 0.1 ms late, but the first of the last reply 0.3 ms."""
        requests = []
        for i in range(5):
            self.now += 200 * MS
            received = self.now
            sent = [received + 20 * MS + k * 5 * MS for k in range(24)]
            seen = [t + (300_000 if i == 4 and k == 0 else 100_000) for k, t in enumerate(sent)]
            requests.append({"send_ns": received - 50_000, "received_ns": received, "tokens_told": 24, "n_frames": 24,
                             "sent_ns": sent, "seen_ns": seen})
        self.line("self_audit", ttft_ns=20 * MS, gap_ns=5 * MS, requests=requests)

    def read_memory(self, arm, block, position, phase, at, count):
        moved = int(self.moved_bytes * self.offloaded(arm))
        vram = 12666 * MIB - (moved if self.case != "gpu-stuck" else 0)
        host = (40 * MIB if not self.gpu else 900 * MIB) + (moved if self.gpu and self.case != "gpu-nowhere" else 0)
        grown = {"loading": 0.5, "loaded": 1, "prefill": 1.1, "decode": 1.2, "warmup": 1.05}.get(phase, 1)
        for i in range(count):
            here = 0 if phase in ("idle", "stopped") else 1
            noise = self.random.randrange(0, 65536)
            gpu = {"vram_process_bytes": int(vram * grown) * here, "vram_device_bytes": int(vram * grown) * here + 300 * MIB,
                   "vram_source": "nvml-process"} if self.gpu else {"vram_process_bytes": None, "vram_device_bytes": None,
                                                                    "vram_source": None}
            t_ns = at + i * 20 * MS
            if self.gpu:  # 200 W, or 150 W where experts are offloaded; packages at 80 W; no DRAM counter
                self.gpu_nj += max(0, t_ns - self.energy_ns) * (200 - int(50 * self.offloaded(arm)))
                self.energy_ns = max(t_ns, self.energy_ns)
                gpu |= {"gpu_energy_mj": self.gpu_nj // 10**6, "package_energy_uj": self.energy_ns * 80 // 1000,
                        "gpu_temperature_c": 50 + i % 7, "gpu_pcie_rx_kb_s": 2500 if i % 25 == 0 else None}
            sparse = i % 3 == 2
            self.telemetry.append({
                "t_ns": at + i * 20 * MS, "arm": self.arms[arm][0], "block": block, "position": position, "phase": phase,
                "pss_anon_bytes": None if sparse else int(host * grown * 0.8) * here + noise,
                "pss_file_bytes": None if sparse else int(host * grown * 0.2) * here, "pss_shmem_bytes": None if sparse else 0,
                "rss_bytes": int(host * grown) * here + noise, "swap_bytes": 0, "major_faults": 0, "cpu_ns": 0,
                "available_bytes": 1 << 34, "vram_foreign_bytes": None, "gpu_util": None, "gpu_clock_sm_mhz": None,
                "gpu_clock_mem_mhz": None, "gpu_power_mw": None, "gpu_throttle": None, "smaps_cost_ns": 1000, **gpu})

    def request(self, arm, block, position, prompt, run, warmup=False, error=None):
        name = self.arms[arm][0]
        slow = 1 + 2 * self.offloaded(arm) if self.gpu else 1.0
        slow *= (1.5 if name.endswith("-18") else 1) * self.slower
        start = self.now = self.now + 2 * MS
        send = start + 40_000 + self.random.randrange(1000)
        ttft = int(20 * MS * slow * (1 + prompt * 0.2) * math.exp(self.random.gauss(0, 0.03)))
        gap = int(4 * MS * slow * math.exp(self.random.gauss(0, 0.02)))
        n = 24 + prompt if self.case != "long" else 4000
        identifier = f"b{block}.p{position}.{name}." + (f"warmup.r{run}" if warmup else f"q{prompt + 1}.r{run}")
        frames = [{"t_ns": send + ttft - 1 * MS, "n_bytes": 80, "kind": "role"}]
        words = [HOSTILE + " "] + ["word "] * (n - 1) if self.hostile else ["word "] * n
        frames += [{"t_ns": send + ttft + (i - i % 8 if self.case == "bursts" else i) * gap + i % 8 * 1000 + self.random.randrange(1000), "n_bytes": 90, "kind": "content",
                    "text": words[i]} for i in range(n)]
        last = frames[-1]["t_ns"]
        frames += [{"t_ns": last + 10_000, "n_bytes": 70, "kind": "finish"}, {"t_ns": last + 20_000, "n_bytes": 99, "kind": "usage"},
                   {"t_ns": last + 30_000, "n_bytes": 14, "kind": "done"}]
        self.now = last + 100_000
        flags = ["prompt-cache"] if self.hostile and (arm, prompt, run) == (1, 2, 2) else []
        if error:
            frames = []
        self.line("sample", id=identifier, arm=name, block=block, position=position,
                  prompt="warmup" if warmup else f"q{prompt + 1}", run=run, attempt=1,
                  phase="warmup" if warmup else "measure", request="{}", http_status=200, error=error, start_ns=start,
                  send_ns=send, frames=frames, end_ns=self.now, finish_reason="=1+1" if self.hostile else "stop",
                  usage={"prompt_tokens": 9 + prompt, "completion_tokens": n + 3, "cached_tokens": 0},
                  timings=None, text="" if error else "".join(words), reasoning="", flags=flags)
        if not error:
            self.tokens.append({"id": identifier, "tokens": n, "tokens_reasoning": 0,
                                "ids_sha256": hashlib.sha256(b"none").hexdigest(), "usage_tokens": n + 3, "flags": []})
        self.read_memory(arm, block, position, "warmup" if warmup else "prefill", send, 2)
        self.read_memory(arm, block, position, "warmup" if warmup else "decode", send + ttft, 3)

    def serve(self, block, position, arm):
        name = self.arms[arm][0]
        crashes = self.case == "crash" and block == 2 and arm == 1
        spawn = self.now = self.now + 5 * MS
        self.read_memory(arm, block, position, "idle", spawn - 100 * MS, 4)
        self.line("server_start", arm=name, block=block, position=position, pid=1000 + block, argv=["server"], port=11436 + arm)
        ready = spawn + 700 * MS + self.random.randrange(40 * MS)
        self.now = ready
        self.read_memory(arm, block, position, "loading", spawn, 5 if self.case != "long" else 3000)
        self.line("server_ready", arm=name, block=block, position=position, pid=1000 + block, spawn_ns=spawn, ready_ns=ready,
                  served_model="synthetic", **({"buffers": [{"device": "CUDA0", "use": "model", "bytes": 100 * MIB}]}
                                               if self.case == "gpu-layers" else {}))
        self.read_memory(arm, block, position, "loaded", ready, 9)
        self.request(arm, block, position, 0, 1, warmup=True)
        runs = range(1, self.runs + 1) if self.case == "sequential" else [block + 1]
        for prompt in range(len(self.prompts)):
            for run in runs:
                self.request(arm, block, position, prompt, run, error=HOSTILE if crashes and prompt > 1 else None)
        self.line("server_stop", arm=name, block=block, position=position, pid=1000 + block,
                  reason="crashed" if crashes else "done", exit_code=None if crashes else 0, signal=11 if crashes else None,
                  memory_back_ns=1000)

    def claims(self):
        """Keys of the plan that folders of earlier versions lack."""
        if self.case == "stopped":
            return {"aa": "on", "precision": 0.05, "min_runs": 4, "equivalence_margin": 0}
        if self.case == "left-out":
            return {"aa": "auto", "precision": 0, "min_runs": 6, "equivalence_margin": 0}
        return {"equivalence_margin": 0.2} if self.case == "equal" else {}

    def end_block(self, block):
        if self.case == "stopped" and block in (3, 5):
            self.line("look", block=block, arm="offload", metric="decode_rate", half_width=0.0612 if block == 3 else 0.0412,
                      stop=int(block == 5))
        if self.case == "left-out" and block == 0:
            self.line("left_out", arm="aa", from_block=1, cost_ns=600 * 10**9, limit_ns=900 * 10**9)

    def manifest(self, model, server):
        def file(path):
            with open(path, "rb") as handle:
                data = handle.read()
            return {"path": path, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        name = HOSTILE if self.hostile else "synthetic"
        treatments = {"baseline": "(first arm)", "offload": "adds: --cpu-moe", "again": "nothing", "aa": "nothing"}
        gpus = [{"index": 0, "name": "Synthetic GPU", "uuid": "GPU-0", "memory_bytes": 80 << 30, "driver": "1.0",
                 "power_limit_mw": None, "clock_sm_max_mhz": None, "clock_mem_max_mhz": None}] if self.gpu else []
        known = {"adapter": "llama-server", "ask_path": "/v1/chat/completions", "prompt_cache": "off", "own_times": "timings"}
        own = [{**known, "offload_bytes": self.moved_bytes if self.moves(i) else 0} if self.case == "gpu-layers" else {}
               for i in range(len(self.arms))]
        return {
            "schema": 1, "tool": {"name": "seesaw", "version": "0", "commit": "none"}, "created_utc": "2026-01-31T12:34:56Z",
            "argv": ["seesaw", "ab", "-m", model],
            "plan": {"design": "sequential" if self.case == "sequential" else "abba", "seed": 1, "runs": self.planned_runs,
                     "warmup_runs": 1, "max_tokens": 100, "temperature": 0.3, "fixed_length": 0, "pause_ns": 5_000_000_000,
                     "ready_timeout_ns": 10**10, "hang_timeout_ns": 10**10, "stop_grace_ns": 10**10, "memory_timeout_ns": 10**10, **self.claims(),
                     "prompts": self.prompts,
                     "arms": [{"name": n, "port": 11436 + i, "args": a, "env": []} for i, (n, a) in enumerate(self.arms)],
                     "sweep": {"flag": "--n-cpu-moe", "values": ["0", "6", "12", "18", "24"]} if self.case == "sweep" else None,
                     "fit_bytes": 10 << 30 if self.case == "sweep" else None},
            "model": {"path": model, "name": name, "general_name": None, "architecture": None, "parameters": None,
                      "expert_bytes": self.expert_bytes, "expert_bytes_per_token": 1 * MIB, "files": [file(model)]},
            "arms": [{"name": n, "port": 11436 + i, **own[i], "treatment": treatments.get(n, "another value"), "argv": ["server", *a], "env": {},
                      "server": {**file(server), "version": HOSTILE if self.hostile else "server 1"}}
                     for i, (n, a) in enumerate(self.arms)],
            "machine": {"hostname_hash": "0" * 12, "kernel": "Linux", "cpu": HOSTILE if self.hostile else "Synthetic CPU",
                        "sockets": 1, "cores": 8, "threads": 16, "threads_usable": 16, "governor": None, "cpu_khz_max": None,
                        "memory_bytes": 1 << 36, "swap_bytes": 0, "container": None, "gpus": gpus,
                        "nvml": "12.0" if self.gpu else None, "nvml_reason": None if self.gpu else "libnvidia-ml.so.1 is not there"},
            "schedule": [{"block": b, "position": p, "arm": self.arms[a][0]} for b, p, a in self.schedule()]}

    def write(self):
        os.makedirs(self.folder)
        base = os.path.abspath(self.folder)
        model, server = base + ".model", base + ".server"
        for path in (model, server):
            with open(path, "wb") as handle:
                handle.write(os.path.basename(path).encode() * 1000)
        self.line("clock", monotonic_ns=self.now, wall_ns=10**18)
        if self.case == "gpu-layers":
            self.audit()
        for block, position, arm in self.schedule():
            if block < self.runs and not (self.case == "left-out" and block > 0 and arm == 2):
                self.serve(block, position, arm)
            if position == len(self.arms) - 1 and block < self.runs:
                self.end_block(block)
        self.line("run_end", reason="complete", samples=len(self.samples))
        files = {"manifest.json": [self.manifest(model, server)], "samples.jsonl": self.samples, "tokens.jsonl": self.tokens,
                 "telemetry.jsonl": self.telemetry, "server-11436.log": ["a line of the log"] * 3}
        if self.case == "cpu":  # as without a local GGUF: the server's usage counts
            files["tokens.jsonl"] = [{**line, "tokens": None, "tokens_reasoning": None, "ids_sha256": None} for line in self.tokens]
        sums = ""
        for name, lines in files.items():
            data = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode()
            with open(os.path.join(self.folder, name), "wb") as handle:
                handle.write(data)
            sums += f"{hashlib.sha256(data).hexdigest()}  {name}\n"
        with open(os.path.join(self.folder, "SHA256SUMS"), "w", encoding="utf-8") as handle:
            handle.write(sums)


if __name__ == "__main__":
    Run(*sys.argv[1:4]).write()
