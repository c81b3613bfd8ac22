"""What the help of each command says beside its options: how to choose them, and two examples.

In: the name of a command. Out: prose that goes behind its first sentence, and what its help ends
with. Written for someone who has barcodes and has not used the program before. Guarded by
tests/barcodemae/cli/test_help.py.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Guide:
    """How to use one command.

    Attributes:
        summary: What it does, for the list of commands.
        choosing: How to choose its main options.
        examples: What each does, and the command line; every line of them fits a terminal.
    """

    summary: str
    choosing: str
    examples: tuple[tuple[str, str], tuple[str, str]]


GUIDES = {
    "prepare": Guide(
        "Tables, FASTA or Parquet to a partitioned data set.",
        "Name files as they are: what is in them tells tables, FASTA, FASTQ and Parquet apart, and "
        "--format is for the rare wrong guess. Sources with partitions of their own keep them; for "
        "others they are drawn such that val_unseen and test_unseen hold species that train lacks. "
        "Leave --dedup as it is unless you count copies: a barcode that is both reference and "
        "query makes every accuracy too high. For millions of rows, --resume lets the same command "
        "go on after a kill.",
        (
            (
                "References of your own, with their names in a table",
                "barcodemae prepare refs.fasta --taxonomy names.tsv -o data",
            ),
            ("Simulated barcodes, to try things out", "barcodemae prepare simulate -o data"),
        ),
    ),
    "describe": Guide(
        "A data set in numbers, and drawn.",
        "Look at a data set before you train on it or make a library of it: short barcodes, mixed "
        "markers and lopsided orders show here. --json gives every number, --plot a picture.",
        (
            ("In numbers", "barcodemae describe data"),
            ("With a picture", "barcodemae describe data --plot data.png"),
        ),
    ),
    "frame": Guide(
        "Barcodes to text for programs that run no code.",
        "Servers of embeddings and everybody who does not trust code beside a model read the "
        "tokenizer.json of its encoder folder, which cannot place letters in the barcode. This "
        "places them beforehand. Take the model that will read the text: each has a frame of its "
        "own. To embed here, `embed` needs none of this.",
        (
            ("With the bundled model's frame", "barcodemae frame barcodes.fasta -o framed.tsv"),
            (
                "With that of a model of your own, from a pipe",
                "zcat barcodes.fasta.gz | barcodemae frame - -m out/mine -o framed.tsv",
            ),
        ),
    ),
    "embed": Guide(
        "Barcodes to vectors.",
        "The suffix of --output decides the format: .parquet for data frames and large files, .npy "
        "for NumPy, .tsv to read. Start with the bundled model; --model names another one, and "
        "kmer:6 counts 6-mers without any network. Records that cannot be embedded are listed "
        "beside the output; --strict makes the first of them an error.",
        (
            (
                "With the bundled model, to a Parquet file",
                "barcodemae embed barcodes.fasta -o vectors.parquet",
            ),
            (
                "With a model of your own, from a pipe",
                "zcat barcodes.fasta.gz | barcodemae embed - -m out/mine -o vectors.npy",
            ),
        ),
    ),
    "index": Guide(
        "References to a library that `identify` asks.",
        "Identify with the same --model that you index with. A prepared data set is best: its "
        "partitions val and val_unseen calibrate the probabilities; of other sources some "
        "references are left out for that. --mixture says what you expect of queries: where most "
        "species lack references, as in the tropics, raise the second number. "
        "--engine faiss is for millions of references. --add and --remove make a new library of "
        "one that is there, without embedding again what stays; --distill keeps the references "
        "that stand for all. --findings keeps what `audit` found, for `identify` to tell.",
        (
            ("A library of a prepared data set", "barcodemae index data -o library"),
            (
                "Straight from FASTA; most queries will be of species that it lacks",
                "barcodemae index refs.fasta --taxonomy names.tsv --mixture 30,50,20 -o lib",
            ),
        ),
    ),
    "audit": Guide(
        "References that mislead, ranked, with reasons.",
        "Audit references before you index them: audit.tsv lists what is likely wrong, the worst "
        "first, and report.html shows it. Look at findings before you act on them; --clean writes "
        "a data set without the records whose faults score at least --clean-score, and never "
        "changes a label. A library can be audited, too, but then strands and indels are not "
        "known any more. `index` keeps the findings in a library if it is given the report, and "
        "`identify` tells of them.",
        (
            ("A report", "barcodemae audit data -o report"),
            (
                "A report, and a data set without the worst",
                "barcodemae audit refs.fasta --taxonomy names.tsv --clean clean -o report",
            ),
        ),
    ),
    "identify": Guide(
        "Names for barcodes, down to what is certain.",
        "--reference is a library made by `barcodemae index` with the same --model. A name is "
        "given down to the rank whose probability reaches --threshold: raise it for fewer and "
        "safer names. How much is new is estimated from the sample; --mixture fixes it. --within "
        "and --checklist keep to taxa of your region. --strand plus is for barcodes that all read "
        "like the library's. "
        "--dtype is by default what the library was made with; --resume goes on after a kill.",
        (
            (
                "Names to a table",
                "barcodemae identify barcodes.fasta -r library -o names.tsv",
            ),
            (
                "A first look: forty real barcodes against a thousand, all bundled",
                "barcodemae identify demo --reference demo -o names.tsv",
            ),
        ),
    ),
    "report": Guide(
        "Tables of names to a page to look at.",
        "Give the tables that `barcodemae identify` wrote, one of each sample, and they stand "
        "beside each other; ids that carry ;sample=NAME tell samples apart within a table, "
        ";size=N counts reads. The option of `identify` of the same name draws one run.",
        (
            ("One sample", "barcodemae report names.tsv -o names.html"),
            ("Several beside each other", "barcodemae report upstream.tsv mouth.tsv -o river.html"),
        ),
    ),
    "serve": Guide(
        "Names of barcodes over HTTP.",
        "For programs that ask again and again: model and library stay open, and what several "
        "clients ask at once is computed together. POST FASTA or JSON to /identify; the answer is "
        "what identify writes for a file of the same records. It listens on this machine only; "
        "for others, set a token in BARCODEMAE_TOKEN and give --host. SIGTERM ends it after the "
        "answers that it is at.",
        (
            ("On this machine", "barcodemae serve --library lib --port 8000"),
            ("For others, who know its token", "barcodemae serve -r lib --host 0.0.0.0"),
        ),
    ),
    "merge": Guide(
        "What shards wrote to one file.",
        "For clusters and workflows: run `identify` or `embed` with a shard I/N for each I from 1 "
        "to N, on as many machines as you like, and merge what they wrote. The rows are those of "
        "one run without shards; a shard that is missing, double, damaged or of another run is "
        "refused. Each table needs the note that lies beside it, NAME.shard.json.",
        (
            ("Eight shards", "barcodemae merge part*.tsv -o names.tsv"),
            ("Vectors", "barcodemae merge part*.parquet -o vectors.parquet"),
        ),
    ),
    "cluster": Guide(
        "Species-like units without references.",
        "--method threshold joins whatever reaches --identity, and goes for any number of "
        "barcodes; ward makes compact units, hdbscan needs no --identity; both take up to "
        "40,000. 97 % is usual for species of animals; raise it where species are young. --map "
        "draws units and how they resemble each other, with --reference also what a library "
        "calls them.",
        (
            ("Species-like units at 97 %", "barcodemae cluster barcodes.fasta -o units.tsv"),
            (
                "Stricter ones, and a map to look at",
                "barcodemae cluster barcodes.fasta --identity 98 -o units.tsv --map map.html",
            ),
        ),
    ),
    "export": Guide(
        "A trained model as folders to use and share.",
        "Name a folder, or the bundled model by --model default. --dtype bfloat16 halves the "
        "files.",
        (
            ("What pre-training left, for others", "barcodemae export out/mine -o release"),
            (
                "The bundled model, to build on",
                "barcodemae export --model default -o release",
            ),
        ),
    ),
    "convert": Guide(
        "Weights of the original code as such folders.",
        "Sizes, k and the kind of the model are read from the checkpoint; there is nothing to "
        "choose. --force is for a folder that holds files of others.",
        (
            (
                "A checkpoint of the original code",
                "barcodemae convert original.pt out/original",
            ),
            (
                "Into a folder that is there already",
                "barcodemae convert original.pt out/original --force",
            ),
        ),
    ),
    "whiten": Guide(
        "Fit a linear readout and store it in a model.",
        "Fit on barcodes like those you will embed. --power 0 only centres and rotates, 0.5 "
        "evens out all axes, and with them their noise. Measure before and after with `barcodemae "
        "probe`, on val_unseen.",
        (
            ("With the default power", "barcodemae whiten out/mine --data data"),
            (
                "Centred and rotated only",
                "barcodemae whiten out/mine --data data --power 0",
            ),
        ),
    ),
    "probe": Guide(
        "Accuracy of models, k-mer counts, alignment search.",
        "Always measure kmer:6 beside a model: counts of 6-mers are a strong baseline. 1nn, the "
        "default of --probes, is quick; zsc clusters without labels, linear and finetune train. "
        "Make choices on --queries val_unseen; open test_unseen once for what you report.",
        (
            (
                "The bundled model beside 6-mer counts",
                "barcodemae probe -m default -m kmer:6 --data data --queries val_unseen",
            ),
            (
                "Two probes, to a file for tables and cards",
                "barcodemae probe -m default --data data --probes 1nn,zsc --json results.json",
            ),
        ),
    ),
    "mask-study": Guide(
        "Accuracy with k-mers masked or taken away.",
        "Mode drop takes k-mers away, the others mask them. A full BarcodeMAE leaves masked k-mers "
        "out by itself: study its encoder folder. --max-references makes it cheap on large data.",
        (
            (
                "From no k-mers missing to nine in ten",
                "barcodemae mask-study -m out/mine/encoder --data data --json masks.json",
            ),
            (
                "Two rates only",
                "barcodemae mask-study -m model --data data --rates 0,0.5 --json masks.json",
            ),
        ),
    ),
    "leaderboard": Guide(
        "Results files to one table.",
        "Give every results file at once; numbers of other data or another protocol never "
        "share a table. --format latex is for papers, --systems names rows of one's own.",
        (
            ("To read", "barcodemae leaderboard results.json"),
            (
                "For a spreadsheet, and drawn",
                "barcodemae leaderboard results.json --format csv -o t.csv --figure t.png",
            ),
        ),
    ),
    "plot-map": Guide(
        "Barcodes as a map to look at.",
        "--color is the rank that you want to see apart; --num-neighbors small shows fine "
        "structure, large the overall shape. A map is for looking: distances on it are not "
        "those of the embedding.",
        (
            ("Orders in colour", "barcodemae plot-map -m default --data data -o map.html"),
            (
                "Families in colour",
                "barcodemae plot-map -m default --data data --color family -o map.html",
            ),
        ),
    ),
    "card": Guide(
        "Model cards from results files.",
        "Results count only for the weights they were measured on, so probe the folder that you "
        "will push. --run is the folder of the training run, if that is another one.",
        (
            (
                "From one results file",
                "barcodemae card release --repo-id lab/barcodes --results results.json",
            ),
            (
                "With the repository of the encoder",
                "barcodemae card release --repo-id lab/barcodes --native lab/encoder",
            ),
        ),
    ),
    "push": Guide(
        "A model with its card to the Hub.",
        "Log in first (hf auth login), and begin with --dry-run. --native publishes the encoder, "
        "which opens without custom code, as a repository of its own.",
        (
            ("See what would be sent", "barcodemae push release lab/barcodes --dry-run"),
            (
                "Send both repositories",
                "barcodemae push release lab/barcodes --native lab/encoder",
            ),
        ),
    ),
    "pretrain": Guide(
        "Barcodes without names to a model.",
        "Begin with a --preset: tiny to see that it works, small for one machine, barcodemae for "
        "the published model; every option overrules it. --initial-weights default goes on from "
        "the bundled model with its preset, compact. --epochs or --max-steps decide how long it "
        "takes, and --micro-batch-size how much memory. --resume goes on after a kill.",
        (
            (
                "A small model of your barcodes",
                "barcodemae pretrain --preset small --data data --output out/mine",
            ),
            (
                "The bundled model, trained further",
                "barcodemae pretrain --preset compact --initial-weights default \\\n"
                "      --data data --output out/further",
            ),
        ),
    ),
    "finetune": Guide(
        "A model to a classifier of one rank.",
        "--rank is what is named; every class needs barcodes in train, so a species that is not "
        "there is never named (`barcodemae identify` tells what is new). --freeze-encoder trains "
        "the last layer only, which is quick.",
        (
            (
                "Genera, from the bundled model",
                "barcodemae finetune --model default --rank genus --data D --output out",
            ),
            (
                "Species, from a model of your own, the last layer only",
                "barcodemae finetune --model out/mine --freeze-encoder --data D --output out",
            ),
        ),
    ),
    "demo": Guide(
        "Real barcodes named, then a model made of simulated ones.",
        "It needs no data and no network, and takes some minutes. More steps (--max-steps) make a "
        "better model; what it leaves in --output can be given to every other command.",
        (
            ("All of it", "barcodemae demo"),
            ("A shorter one", "barcodemae demo --max-steps 50 -o out/short"),
        ),
    ),
}
