"""What a model plays after primers that it has never seen, beside what the pianist played.

`making` makes a folder of these and is a program; `folder` reads it, and is what others
import; `cuts` says where performances are cut; `sound` makes them audible.
"""
