"""Snakemake wrapper of `barcodemae identify`; see meta.yaml."""

from snakemake.shell import shell


log = snakemake.log_fmt_shell(stdout=False, stderr=True)
report = snakemake.output.get("report", "")
report = f"--report {report:q}" if report else ""
extra = snakemake.params.get("extra", "")
shell(
    "barcodemae identify {snakemake.input.sequences:q}"
    " --reference {snakemake.input.reference:q} --threads {snakemake.threads}"
    " --output {snakemake.output.names:q} {report} {extra} {log}"
)
